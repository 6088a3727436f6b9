//! The names that an expression can see, in layers that share what is heavy.

use std::sync::Arc;

use minijinja::value::{Enumerator, Object, ObjectRepr, Value};

use super::datum::Datum;

/// The names that an expression can see.
///
/// A scope is never changed: [`with`](Self::with) makes one that sees a name more, and shares
/// all others with the first.
#[derive(Clone, Debug)]
pub struct Scope {
    root: Value,
    layer: Arc<Layer>,
}

/// Some names, in front of those of another layer.
#[derive(Debug, Default)]
struct Layer {
    names: Vec<(&'static str, Value)>,
    behind: Option<Arc<Self>>,
}

impl Layer {
    fn get(&self, name: &str) -> Option<&Value> {
        let mut layer = self;
        loop {
            if let Some((_, value)) = layer.names.iter().find(|(known, _)| *known == name) {
                return Some(value);
            }
            layer = layer.behind.as_deref()?;
        }
    }

    fn all(&self) -> Vec<&'static str> {
        let layers = std::iter::successors(Some(self), |layer| layer.behind.as_deref());
        let mut all = Vec::new();
        for (name, _) in layers.flat_map(|layer| &layer.names) {
            if !all.contains(name) {
                all.push(*name);
            }
        }
        all
    }
}

impl Object for Layer {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Map
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get(key.as_str()?).cloned()
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        self.get(key).cloned()
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.all().into_iter().map(Value::from).collect())
    }
}

impl Default for Scope {
    fn default() -> Self {
        Self::empty()
    }
}

impl Scope {
    /// A scope without names.
    pub fn empty() -> Self {
        Self::of(Layer::default())
    }

    fn of(layer: Layer) -> Self {
        let layer = Arc::new(layer);
        Self { root: Value::from_dyn_object(Arc::clone(&layer)), layer }
    }

    /// The same scope with one name more, which hides an equal name.
    #[must_use]
    pub fn with(&self, name: &'static str, value: Datum) -> Self {
        self.with_all([(name, value)])
    }

    /// The same scope with several names more.
    #[must_use]
    pub fn with_all<const N: usize>(&self, names: [(&'static str, Datum); N]) -> Self {
        Self::of(Layer {
            names: names.into_iter().map(|(name, value)| (name, value.into_engine())).collect(),
            behind: Some(Arc::clone(&self.layer)),
        })
    }

    /// The same scope with the function `env('NAME')`, which reads one of these variables.
    #[must_use]
    pub fn with_environment(&self, variables: Vec<(String, String)>) -> Self {
        self.with("env", Datum::from_engine(super::filters::environment_reader(variables)))
    }

    /// Whether a name is visible here.
    pub fn knows(&self, name: &str) -> bool {
        self.layer.get(name).is_some()
    }

    /// The visible names, nearest first.
    pub fn names(&self) -> Vec<&'static str> {
        self.layer.all()
    }

    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.layer.get(name)
    }

    pub(super) fn root(&self) -> Value {
        self.root.clone()
    }
}
