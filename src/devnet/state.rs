//! Accounts and storage, now and a few blocks ago.
//!
//! Each closed block leaves an [`Undo`]: what every word that it changed was before. From these a
//! [`View`] answers for a recent block, and a reorg steps back. What a block changed can also be
//! taken as bytes ([`State::close`]) and applied again without running the EVM
//! ([`State::apply`]); that is how a log of ten thousand tasks is read in no time.

use std::collections::{BTreeMap, VecDeque};

use alloy::primitives::map::hash_map::Entry;
use alloy::primitives::map::{AddressMap, B256Map, HashMap};
use alloy::primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U256};
use revm::DatabaseCommit;
use revm::state::{Account as Changed, Bytecode};

use super::codec::{Reader, Writer};
use super::genesis::GenesisAccount;

/// Blocks that transaction counts and balances are known for.
const COUNTS_KEPT: usize = 256;
/// Blocks that storage is known for: calls and reorgs reach this far back.
const STORAGE_KEPT: usize = 64;

/// An account without its storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Brief {
    pub(super) nonce: u64,
    pub(super) balance: U256,
    pub(super) code: B256,
}

impl Brief {
    pub(super) const EMPTY: Self = Self { nonce: 0, balance: U256::ZERO, code: KECCAK256_EMPTY };

    fn is_empty(&self) -> bool {
        *self == Self::EMPTY
    }
}

#[derive(Clone, Debug)]
struct Account {
    brief: Brief,
    storage: HashMap<U256, U256>,
}

/// What a block's changes replaced.
#[derive(Debug, Default)]
struct Undo {
    accounts: BTreeMap<Address, Option<Brief>>,
    /// `None` once it is too old to be kept.
    storage: Option<BTreeMap<(Address, U256), U256>>,
    /// Code that was not there before.
    code: Vec<B256>,
}

/// All accounts at the head, and the way back from it.
#[derive(Debug)]
pub(super) struct State {
    accounts: AddressMap<Account>,
    code: B256Map<Bytecode>,
    /// Hash of every block, by height.
    hashes: Vec<B256>,
    /// The latest blocks' undos, the head's last.
    past: VecDeque<Undo>,
    open: Undo,
}

impl State {
    pub(super) fn new(genesis: &BTreeMap<Address, GenesisAccount>) -> Self {
        let mut state = Self {
            accounts: AddressMap::default(),
            code: B256Map::default(),
            hashes: Vec::new(),
            past: VecDeque::new(),
            open: Undo::default(),
        };
        for (address, account) in genesis {
            let code = Bytecode::new_raw(account.code.clone());
            let brief = Brief {
                nonce: account.nonce,
                balance: account.balance.to_u256(),
                code: code.hash_slow(),
            };
            state.code.insert(brief.code, code);
            let storage = account.storage.iter().map(|(slot, value)| (*slot, *value)).collect();
            state.accounts.insert(*address, Account { brief, storage });
        }
        state
    }

    /// The account, if there is one.
    pub(super) fn brief(&self, address: Address) -> Option<Brief> {
        self.accounts.get(&address).map(|account| account.brief)
    }

    pub(super) fn slot(&self, address: Address, slot: U256) -> U256 {
        let account = self.accounts.get(&address);
        account.and_then(|account| account.storage.get(&slot)).copied().unwrap_or_default()
    }

    pub(super) fn code(&self, hash: B256) -> Bytecode {
        self.code.get(&hash).cloned().unwrap_or_default()
    }

    pub(super) fn block_hash(&self, number: u64) -> Option<B256> {
        usize::try_from(number).ok().and_then(|at| self.hashes.get(at)).copied()
    }

    /// The state at the end of block `number`; `None` if that is not known any more.
    pub(super) fn at(&self, number: u64) -> Option<View<'_>> {
        let head = (self.hashes.len() as u64).checked_sub(1)?;
        let back = usize::try_from(head.checked_sub(number)?).ok()?;
        let from = self.past.len().checked_sub(back)?;
        Some(View { state: self, from, rich: None })
    }

    /// Notes the hash of block 0 or of one whose changes were closed.
    pub(super) fn seal(&mut self, hash: B256) {
        self.hashes.push(hash);
    }

    fn set_brief(&mut self, address: Address, brief: Option<Brief>) {
        let before = self.brief(address);
        self.open.accounts.entry(address).or_insert(before);
        match brief {
            None => {
                self.accounts.remove(&address);
            }
            Some(brief) => match self.accounts.entry(address) {
                Entry::Occupied(mut held) => {
                    held.get_mut().brief = brief;
                }
                Entry::Vacant(free) => {
                    free.insert(Account { brief, storage: HashMap::default() });
                }
            },
        }
    }

    fn set_slot(&mut self, address: Address, slot: U256, value: U256) {
        let before = self.slot(address, slot);
        let undo = self.open.storage.get_or_insert_default();
        undo.entry((address, slot)).or_insert(before);
        self.put_slot(address, slot, value);
    }

    fn put_slot(&mut self, address: Address, slot: U256, value: U256) {
        if let Some(account) = self.accounts.get_mut(&address) {
            if value.is_zero() {
                account.storage.remove(&slot);
            } else {
                account.storage.insert(slot, value);
            }
        }
    }

    /// Ends a block: from here on, changes belong to the next. Returns what it changed, as bytes
    /// that [`State::apply`] understands; the same changes always give the same bytes.
    pub(super) fn close(&mut self) -> Vec<u8> {
        let redo = self.redo();
        self.keep();
        redo
    }

    fn redo(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.number(self.open.code.len() as u64);
        for hash in &self.open.code {
            writer.bytes(&self.code(*hash).original_bytes());
        }
        writer.number(self.open.accounts.len() as u64);
        for address in self.open.accounts.keys() {
            writer.address(address);
            match self.brief(*address) {
                None => writer.byte(0),
                Some(brief) => {
                    writer.byte(if brief.code == KECCAK256_EMPTY { 1 } else { 2 });
                    writer.number(brief.nonce);
                    writer.word(brief.balance);
                    if brief.code != KECCAK256_EMPTY {
                        writer.hash(&brief.code);
                    }
                }
            }
        }
        let storage = self.open.storage.iter().flatten();
        for ((address, slot), _) in storage {
            writer.address(address);
            writer.word(*slot);
            writer.word(self.slot(*address, *slot));
        }
        writer.into_bytes()
    }

    /// Does to the state what the block did whose [`State::close`] returned `redo`; `None` if
    /// these are not such bytes.
    pub(super) fn apply(&mut self, redo: &[u8]) -> Option<()> {
        let mut reader = Reader::new(redo);
        for _ in 0..reader.count()? {
            self.add_code(Bytecode::new_raw(Bytes::copy_from_slice(reader.bytes()?)));
        }
        for _ in 0..reader.count()? {
            let address = reader.address()?;
            let brief = match reader.byte()? {
                0 => None,
                kind => Some(Brief {
                    nonce: reader.number()?,
                    balance: reader.word()?,
                    code: if kind == 2 { reader.hash()? } else { KECCAK256_EMPTY },
                }),
            };
            self.set_brief(address, brief);
        }
        while !reader.is_at_end() {
            let (address, slot) = (reader.address()?, reader.word()?);
            let value = reader.word()?;
            self.set_slot(address, slot, value);
        }
        self.keep();
        Some(())
    }

    fn add_code(&mut self, code: Bytecode) {
        let hash = code.hash_slow();
        if let Entry::Vacant(free) = self.code.entry(hash) {
            free.insert(code);
            self.open.code.push(hash);
        }
    }

    fn keep(&mut self) {
        let mut undo = std::mem::take(&mut self.open);
        undo.storage.get_or_insert_default();
        self.past.push_back(undo);
        if self.past.len() > COUNTS_KEPT {
            self.past.pop_front();
        }
        if let Some(old) = self.past.len().checked_sub(STORAGE_KEPT + 1) {
            self.past[old].storage = None;
        }
    }

    /// How many blocks can be taken back.
    pub(super) fn depth(&self) -> usize {
        self.past.iter().rev().take_while(|undo| undo.storage.is_some()).count()
    }

    /// Takes the head block's changes back; `false` if they are not known any more.
    pub(super) fn step_back(&mut self) -> bool {
        let known = self.past.back().is_some_and(|undo| undo.storage.is_some());
        let Some(undo) = self.past.pop_back().filter(|_| known) else { return false };
        for (address, brief) in undo.accounts {
            self.set_brief(address, brief);
        }
        for ((address, slot), value) in undo.storage.into_iter().flatten() {
            self.put_slot(address, slot, value);
        }
        for hash in undo.code {
            self.code.remove(&hash);
        }
        self.open = Undo::default();
        self.hashes.pop();
        true
    }
}

impl DatabaseCommit for State {
    fn commit(&mut self, changes: AddressMap<Changed>) {
        #[expect(clippy::iter_over_hash_type, reason = "each account is set on its own")]
        for (address, account) in changes {
            if !account.is_touched() {
                continue;
            }
            let brief = Brief {
                nonce: account.info.nonce,
                balance: account.info.balance,
                code: account.info.code_hash,
            };
            if account.is_selfdestructed() || brief.is_empty() {
                if self.accounts.contains_key(&address) {
                    self.set_brief(address, None);
                }
                continue;
            }
            if let Some(code) = account.info.code
                && !self.code.contains_key(&brief.code)
            {
                self.add_code(code);
            }
            if self.brief(address) != Some(brief) {
                self.set_brief(address, Some(brief));
            }
            #[expect(clippy::iter_over_hash_type, reason = "each slot is set on its own")]
            for (slot, value) in account.storage {
                if value.is_changed() {
                    self.set_slot(address, slot, value.present_value);
                }
            }
        }
    }
}

/// The state at the end of one block.
#[derive(Clone, Copy, Debug)]
pub(super) struct View<'a> {
    state: &'a State,
    /// The first undo that counts.
    from: usize,
    /// An account that can pay for anything, for calls that nobody is charged for.
    pub(super) rich: Option<Address>,
}

impl View<'_> {
    /// Whether storage is known, not only counts and balances.
    pub(super) fn has_storage(&self) -> bool {
        self.state.past.range(self.from..).all(|undo| undo.storage.is_some())
    }

    pub(super) fn brief(&self, address: Address) -> Option<Brief> {
        let mut undos = self.state.past.range(self.from..);
        let old = undos.find_map(|undo| undo.accounts.get(&address));
        old.copied().unwrap_or_else(|| self.state.brief(address))
    }

    pub(super) fn slot(&self, address: Address, slot: U256) -> U256 {
        let mut undos = self.state.past.range(self.from..);
        let old = undos.find_map(|undo| undo.storage.as_ref()?.get(&(address, slot)));
        old.copied().unwrap_or_else(|| self.state.slot(address, slot))
    }

    pub(super) fn code(&self, hash: B256) -> Bytecode {
        self.state.code(hash)
    }

    pub(super) fn block_hash(&self, number: u64) -> Option<B256> {
        self.state.block_hash(number)
    }
}
