//! Which endpoint is asked.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::Endpoint;
use crate::chain::error::ChainError;

/// The endpoints of one network: one of them is asked, all of them get what is sent.
#[derive(Debug)]
pub(in crate::chain) struct Pool {
    endpoints: Vec<Arc<Endpoint>>,
    current: AtomicUsize,
}

impl Pool {
    /// A pool of at least one endpoint; the first is asked first.
    pub(in crate::chain) fn new(first: Endpoint, others: Vec<Endpoint>) -> Self {
        let endpoints = std::iter::once(first).chain(others).map(Arc::new).collect();
        Self { endpoints, current: AtomicUsize::new(0) }
    }

    /// The endpoint that is asked now.
    pub(in crate::chain) fn current(&self) -> Arc<Endpoint> {
        let index = self.current.load(Ordering::Relaxed) % self.endpoints.len();
        Arc::clone(&self.endpoints[index])
    }

    /// All endpoints, in the order of the profile.
    pub(in crate::chain) fn all(&self) -> &[Arc<Endpoint>] {
        &self.endpoints
    }

    /// Every endpoint but `this`.
    pub(in crate::chain) fn others(&self, this: &Arc<Endpoint>) -> Vec<Arc<Endpoint>> {
        self.endpoints.iter().filter(|other| !Arc::ptr_eq(other, this)).cloned().collect()
    }

    /// Makes the next endpoint the current one, if `tired` still is.
    pub(in crate::chain) fn leave(&self, tired: &Arc<Endpoint>) {
        let index = self.current.load(Ordering::Relaxed);
        if Arc::ptr_eq(&self.endpoints[index % self.endpoints.len()], tired) {
            let next = index.wrapping_add(1);
            let _unchanged_is_fine =
                self.current.compare_exchange(index, next, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// Runs a whole read on one endpoint; on the next one, from its start, if that is unreachable
    /// or behind.
    pub(in crate::chain) async fn over<T, F>(
        &self,
        read: impl Fn(Arc<Endpoint>) -> F + Send,
    ) -> Result<T, ChainError>
    where
        F: Future<Output = Result<T, ChainError>> + Send,
    {
        let mut left = self.endpoints.len();
        loop {
            let endpoint = self.current();
            let result = read(Arc::clone(&endpoint)).await;
            left -= 1;
            match result {
                Err(ChainError::Unreachable { .. } | ChainError::Behind { .. }) if left > 0 => {
                    self.leave(&endpoint);
                }
                Err(error @ (ChainError::Unreachable { .. } | ChainError::Behind { .. })) => {
                    self.leave(&endpoint);
                    return Err(error);
                }
                done => return done,
            }
        }
    }
}
