//! What a revert says (protocol.md, section 6).

use std::fmt;

use alloy::primitives::{Address, B256, Bytes, U256};
use alloy::sol_types::{Panic, Revert as ErrorString, SolError};

use super::abi::IErrors;

/// The return data of a reverted call, as far as it can be read. The text is a stranger's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Revert {
    /// `Error(string)`.
    Reason(String),
    /// `Panic(uint256)`: 0x11 is arithmetic, 0x32 an index out of bounds.
    Panic(U256),
    /// `OwnableUnauthorizedAccount(address)`.
    NotTheOwner(Address),
    /// `OwnableInvalidOwner(address)`.
    InvalidOwner(Address),
    /// `AccessControlUnauthorizedAccount(address,bytes32)`.
    MissingRole {
        /// Who called.
        account: Address,
        /// What it would have needed.
        role: B256,
    },
    /// Nothing at all.
    Silent,
    /// Bytes that no known error has.
    Raw(Bytes),
}

impl fmt::Display for Revert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reason(text) => f.write_str(text),
            Self::Panic(code) => write!(f, "panic 0x{code:02x}"),
            Self::NotTheOwner(account) => write!(f, "{account} is not the owner"),
            Self::InvalidOwner(owner) => write!(f, "{owner} is not a valid owner"),
            Self::MissingRole { account, role } => write!(f, "{account} lacks role {role}"),
            Self::Silent => f.write_str("no reason given"),
            Self::Raw(data) => write!(f, "unknown error {data}"),
        }
    }
}

/// What `data`, returned by a reverted call, says. Malformed data stays as it is.
pub fn decode_revert(data: &[u8]) -> Revert {
    let Some(selector) = data.first_chunk::<4>() else {
        return if data.is_empty() { Revert::Silent } else { raw(data) };
    };
    let decoded = match *selector {
        ErrorString::SELECTOR => {
            ErrorString::abi_decode(data).ok().map(|error| Revert::Reason(error.reason))
        }
        Panic::SELECTOR => Panic::abi_decode(data).ok().map(|panic| Revert::Panic(panic.code)),
        IErrors::OwnableUnauthorizedAccount::SELECTOR => {
            IErrors::OwnableUnauthorizedAccount::abi_decode_validate(data)
                .ok()
                .map(|error| Revert::NotTheOwner(error.account))
        }
        IErrors::OwnableInvalidOwner::SELECTOR => {
            IErrors::OwnableInvalidOwner::abi_decode_validate(data)
                .ok()
                .map(|error| Revert::InvalidOwner(error.owner))
        }
        IErrors::AccessControlUnauthorizedAccount::SELECTOR => {
            IErrors::AccessControlUnauthorizedAccount::abi_decode_validate(data)
                .ok()
                .map(|error| Revert::MissingRole { account: error.account, role: error.neededRole })
        }
        _ => None,
    };
    decoded.unwrap_or_else(|| raw(data))
}

fn raw(data: &[u8]) -> Revert {
    Revert::Raw(Bytes::copy_from_slice(data))
}

#[cfg(test)]
mod tests {
    use alloy::primitives::hex;

    use super::*;

    #[test]
    fn the_selectors_are_those_of_the_protocol() {
        assert_eq!(ErrorString::SELECTOR, hex!("08c379a0"));
        assert_eq!(Panic::SELECTOR, hex!("4e487b71"));
        assert_eq!(IErrors::OwnableUnauthorizedAccount::SELECTOR, hex!("118cdaa7"));
        assert_eq!(IErrors::OwnableInvalidOwner::SELECTOR, hex!("1e4fbdf7"));
        assert_eq!(IErrors::AccessControlUnauthorizedAccount::SELECTOR, hex!("e2517d3f"));
    }

    #[test]
    fn a_reason_a_panic_and_a_custom_error_are_read() {
        let reason = ErrorString { reason: "SourceInactive".into() }.abi_encode();
        assert_eq!(decode_revert(&reason), Revert::Reason("SourceInactive".into()));
        let panic = Panic { code: U256::from(0x32) }.abi_encode();
        assert_eq!(decode_revert(&panic).to_string(), "panic 0x32");
        let account = Address::repeat_byte(7);
        let owner = IErrors::OwnableUnauthorizedAccount { account }.abi_encode();
        assert_eq!(decode_revert(&owner), Revert::NotTheOwner(account));
    }

    #[test]
    fn data_that_nobody_understands_is_kept_whole() {
        assert_eq!(decode_revert(&[]), Revert::Silent);
        for data in [&[1, 2][..], &hex!("08c379a0ffff"), &hex!("deadbeef00")] {
            assert_eq!(decode_revert(data), Revert::Raw(Bytes::copy_from_slice(data)));
        }
    }
}
