//! What the chain starts with: the contracts, who has how much, and a few switches.
//!
//! The contracts have no constructors, so block 0 can hold them at the testnet's addresses
//! (protocol.md, section 11). The same list of accounts can be written into any other node that
//! lets itself be edited, such as anvil.

use std::collections::BTreeMap;

use alloy::primitives::{Address, B256, Bytes, U256, address, keccak256};
use serde::Deserialize;

use super::codec::Writer;
use crate::units::{ChainTime, Wei};

/// The registry.
pub const NEXUS: Address = address!("F87bb2f3edB991a998992f14d35fE142e6Bb50b1");
/// What clients call.
pub const CONTROLLER: Address = address!("9fb6022074Fd7Bdb429de0776eb693cA0CB55E09");
/// Identities.
pub const TERMINAL: Address = address!("1ea332Fc14a5AFD3AF3852B45C263Ab5b1Dd6f52");
/// Money.
pub const VAULT: Address = address!("15905a2FbD3EF5d3532b931b5656BB9EB493Bb15");
const SOURCE_CODE: Address = address!("0000000000000000000000000000000000C0DE01");
const TASK_CODE: Address = address!("0000000000000000000000000000000000C0DE02");
const RESPONSE_CODE: Address = address!("0000000000000000000000000000000000C0DE03");

/// `eth_chainId` of every devnet.
pub const CHAIN_ID: u64 = 31337;

/// The most that a vault account may start with, in wei: an escrow has room for 88 bits.
pub const MOST_IN_VAULT: u128 = (1 << 88) - 1;

/// Each contract's address and its artifact, as `contracts/build.mjs` writes it.
const CONTRACTS: [(Address, &str); 7] = [
    (NEXUS, include_str!("../../contracts/artifacts/Nexus.json")),
    (CONTROLLER, include_str!("../../contracts/artifacts/Controller.json")),
    (TERMINAL, include_str!("../../contracts/artifacts/Terminal.json")),
    (VAULT, include_str!("../../contracts/artifacts/Vault.json")),
    (SOURCE_CODE, include_str!("../../contracts/artifacts/Source.json")),
    (TASK_CODE, include_str!("../../contracts/artifacts/Task.json")),
    (RESPONSE_CODE, include_str!("../../contracts/artifacts/Response.json")),
];

/// Whose vault account pays for a task (protocol.md, section 4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Payer {
    /// Reading A: who sends the publication.
    #[default]
    Sender,
    /// Reading B: the source's client; only it and its agents may publish.
    SourceOwner,
}

/// Ways in which the network may differ from what is expected of it (protocol.md, section 12).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Switches {
    /// The payment of an expired task stays frozen for ever.
    pub keeps_expired_escrow: bool,
    /// A confirmation after the expiry is refused.
    pub refuses_late_confirm: bool,
    /// A `FIRST_RESPONSE` task waits for a confirmation too.
    pub no_auto_confirm: bool,
}

/// Block 0, in plain fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Genesis {
    /// Block 0's time. Old on purpose: the first real block is never before it.
    pub time: ChainTime,
    /// Who pays.
    pub payer: Payer,
    /// Deviations for tests.
    pub switches: Switches,
    /// Coins in wallets.
    pub wallets: BTreeMap<Address, Wei>,
    /// Coins in the vault, by account; at most [`MOST_IN_VAULT`] each.
    pub vaults: BTreeMap<Address, Wei>,
}

impl Default for Genesis {
    fn default() -> Self {
        Self {
            time: ChainTime::from_secs(1_700_000_000),
            payer: Payer::default(),
            switches: Switches::default(),
            wallets: BTreeMap::new(),
            vaults: BTreeMap::new(),
        }
    }
}

/// One account of block 0, with everything that a node has to know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GenesisAccount {
    /// Its transaction count; 1 for a contract (EIP-161).
    pub nonce: u64,
    /// Its coins, in wei.
    pub balance: Wei,
    /// Its code; empty for a wallet.
    pub code: Bytes,
    /// Its storage words that are not zero.
    pub storage: BTreeMap<U256, U256>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Artifact {
    deployed_bytecode: Bytes,
}

impl Genesis {
    /// Gives `account` this much in its wallet and in the vault, on top of what it has.
    #[must_use]
    pub fn with_funds(mut self, account: Address, wallet: Wei, vault: Wei) -> Self {
        let in_wallet = self.wallets.entry(account).or_default();
        *in_wallet = in_wallet.saturating_add(wallet);
        let in_vault = self.vaults.entry(account).or_default();
        *in_vault = in_vault.saturating_add(vault);
        self
    }

    /// Every account of block 0.
    ///
    /// # Panics
    ///
    /// If an artifact in `contracts/artifacts` is not as `contracts/build.mjs` writes it.
    pub fn accounts(&self) -> BTreeMap<Address, GenesisAccount> {
        let mut accounts: BTreeMap<_, _> = CONTRACTS
            .iter()
            .map(|(address, artifact)| {
                let artifact: Artifact =
                    serde_json::from_str(artifact).expect("artifacts are JSON with bytecode");
                let code = artifact.deployed_bytecode;
                (*address, GenesisAccount { nonce: 1, code, ..Default::default() })
            })
            .collect();
        for (address, account) in &mut accounts {
            account.storage = self.storage_of(*address);
        }
        let held = self.vaults.values().fold(Wei::ZERO, |sum, wei| sum.saturating_add(*wei));
        accounts.entry(VAULT).or_default().balance = held;
        for (wallet, wei) in &self.wallets {
            accounts.entry(*wallet).or_default().balance = *wei;
        }
        accounts
    }

    /// Slot 0 of Controller and Nexus holds their switches; of the Vault, `balanceOf`.
    fn storage_of(&self, contract: Address) -> BTreeMap<U256, U256> {
        let slot = match contract {
            CONTROLLER => {
                flags(self.payer == Payer::SourceOwner, self.switches.refuses_late_confirm)
            }
            NEXUS => flags(self.switches.keeps_expired_escrow, self.switches.no_auto_confirm),
            VAULT => {
                return self
                    .vaults
                    .iter()
                    .filter(|(_, wei)| !wei.is_zero())
                    .map(|(account, wei)| (mapping_slot(account, 0), wei.to_u256()))
                    .collect();
            }
            _ => U256::ZERO,
        };
        if slot.is_zero() { BTreeMap::new() } else { BTreeMap::from([(U256::ZERO, slot)]) }
    }

    /// A hash of everything in block 0: two chains with different ones have nothing in common.
    pub fn digest(&self) -> B256 {
        let mut writer = Writer::default();
        writer.number(CHAIN_ID);
        writer.number(self.time.as_secs());
        for (address, account) in self.accounts() {
            writer.address(&address);
            writer.number(account.nonce);
            writer.word(account.balance.to_u256());
            writer.bytes(&account.code);
            writer.number(account.storage.len() as u64);
            for (slot, value) in account.storage {
                writer.word(slot);
                writer.word(value);
            }
        }
        keccak256(writer.into_bytes())
    }
}

/// Two booleans as Solidity packs them into one word.
fn flags(first: bool, second: bool) -> U256 {
    U256::from(u64::from(first) | u64::from(second) << 8)
}

/// Where Solidity keeps `mapping(address => …)` number `slot` for one key.
fn mapping_slot(key: &Address, slot: u64) -> U256 {
    let mut bytes = [0; 64];
    bytes[12..32].copy_from_slice(key.as_slice());
    bytes[56..].copy_from_slice(&slot.to_be_bytes());
    U256::from_be_bytes(keccak256(bytes).0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_four_contracts_stand_at_the_testnets_addresses_with_code() {
        let accounts = Genesis::default().accounts();
        for contract in [NEXUS, CONTROLLER, TERMINAL, VAULT] {
            assert!(accounts[&contract].code.len() > 1_000, "{contract}");
            assert_eq!(accounts[&contract].nonce, 1);
        }
    }

    #[test]
    fn any_difference_in_block_0_gives_another_digest() {
        let plain = Genesis::default();
        let account = Address::repeat_byte(1);
        let one = Wei::from_u128(1);
        let others = [
            Genesis { payer: Payer::SourceOwner, ..Genesis::default() },
            Genesis { time: ChainTime::from_secs(1), ..Genesis::default() },
            Genesis {
                switches: Switches { no_auto_confirm: true, ..Switches::default() },
                ..Genesis::default()
            },
            Genesis::default().with_funds(account, one, Wei::ZERO),
            Genesis::default().with_funds(account, Wei::ZERO, one),
        ];
        let mut digests: Vec<_> = others.iter().map(Genesis::digest).collect();
        digests.push(plain.digest());
        digests.sort_unstable();
        digests.dedup();
        assert_eq!(digests.len(), 6);
    }

    #[test]
    fn the_vault_holds_what_its_accounts_have() {
        let two = Wei::from_u128(2);
        let genesis = Genesis::default()
            .with_funds(Address::repeat_byte(1), Wei::ZERO, two)
            .with_funds(Address::repeat_byte(2), Wei::ZERO, two);
        assert_eq!(genesis.accounts()[&VAULT].balance, Wei::from_u128(4));
    }
}
