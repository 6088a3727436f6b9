//! A call in plain fields to call data, and back.
//!
//! The way back is strict: call data that would not be written the same way again is refused, so
//! two different byte strings never mean the same call.

use alloy::primitives::{Address, Bytes, U256};
use alloy::sol_types::SolCall;

use super::abi::{IController, IVault, TaskParams};
use crate::units::{Call, ChainTime, Network, Wei};

/// Which contract a call goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The Controller.
    Controller,
    /// The Vault.
    Vault,
    /// The wallet itself, with nothing in it: a no-op.
    Wallet,
}

impl Target {
    /// The address on `network`, for transactions that `wallet` signs.
    pub const fn address(self, network: &Network, wallet: Address) -> Address {
        match self {
            Self::Controller => network.controller,
            Self::Vault => network.vault,
            Self::Wallet => wallet,
        }
    }

    /// What a transaction of `wallet` to `to` is aimed at; `None` if at none of the three.
    pub fn of(to: Address, network: &Network, wallet: Address) -> Option<Self> {
        if to == network.controller {
            Some(Self::Controller)
        } else if to == network.vault {
            Some(Self::Vault)
        } else if to == wallet {
            Some(Self::Wallet)
        } else {
            None
        }
    }
}

/// Why call data is not one of the calls that ogflow signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The selector is none that is ever signed for this contract.
    #[error("the call has a function selector that ogflow never signs")]
    UnknownFunction,
    /// The arguments are cut short, padded wrongly or followed by more.
    #[error("the arguments of the call are malformed")]
    Malformed,
    /// An expiry that no clock will ever show.
    #[error("the expiry of the call does not fit into 64 bits")]
    ExpiryTooLarge,
    /// Coins along with a call that takes none.
    #[error("the call sends {value} to a function that takes no coins")]
    UnexpectedValue {
        /// How much, in wei.
        value: Wei,
    },
}

impl CallError {
    /// What the reader can do, in one line.
    pub const fn hint(self) -> &'static str {
        match self {
            Self::UnknownFunction | Self::Malformed | Self::ExpiryTooLarge => {
                "the transaction was made by another program with the same wallet"
            }
            Self::UnexpectedValue { .. } => "only `Vault.deposit` takes coins",
        }
    }
}

/// Where `call` goes, and its call data; the value is [`Call::value`].
pub fn encode_call(call: &Call) -> (Target, Bytes) {
    match call {
        Call::PublishTask { source, config, expiry, payment } => {
            let params = TaskParams {
                source: *source,
                config: config.clone(),
                expiryTime: U256::from(expiry.as_secs()),
                payment: payment.to_u256(),
            };
            let data = IController::publishTaskCall { taskParams: params }.abi_encode();
            (Target::Controller, data.into())
        }
        Call::ConfirmResponse { response } => {
            let data = IController::confirmResponseCall { response: *response }.abi_encode();
            (Target::Controller, data.into())
        }
        Call::CancelTask { task } => {
            let data = IController::cancelTaskCall { task: *task }.abi_encode();
            (Target::Controller, data.into())
        }
        Call::Deposit { account, .. } => {
            let data = IVault::depositCall { account: *account }.abi_encode();
            (Target::Vault, data.into())
        }
        Call::NoOp => (Target::Wallet, Bytes::new()),
    }
}

/// The call that `data`, sent to `target` with `value`, makes.
///
/// # Errors
///
/// [`CallError`] for anything that [`encode_call`] would not have written.
pub fn decode_call(target: Target, value: Wei, data: &[u8]) -> Result<Call, CallError> {
    let call = match target {
        Target::Controller => decode_controller(data)?,
        Target::Vault => {
            let call = strict::<IVault::depositCall>(data)?;
            Call::Deposit { account: call.account, amount: value }
        }
        Target::Wallet if data.is_empty() => Call::NoOp,
        Target::Wallet => return Err(CallError::UnknownFunction),
    };
    if call.value() == value { Ok(call) } else { Err(CallError::UnexpectedValue { value }) }
}

fn decode_controller(data: &[u8]) -> Result<Call, CallError> {
    match selector(data) {
        Some(IController::publishTaskCall::SELECTOR) => {
            let params = strict::<IController::publishTaskCall>(data)?.taskParams;
            let expiry = u64::try_from(params.expiryTime).map_err(|_| CallError::ExpiryTooLarge)?;
            Ok(Call::PublishTask {
                source: params.source,
                config: params.config,
                expiry: ChainTime::from_secs(expiry),
                payment: Wei::from_u256(params.payment),
            })
        }
        Some(IController::confirmResponseCall::SELECTOR) => {
            let response = strict::<IController::confirmResponseCall>(data)?.response;
            Ok(Call::ConfirmResponse { response })
        }
        Some(IController::cancelTaskCall::SELECTOR) => {
            let task = strict::<IController::cancelTaskCall>(data)?.task;
            Ok(Call::CancelTask { task })
        }
        _ => Err(CallError::UnknownFunction),
    }
}

fn selector(data: &[u8]) -> Option<[u8; 4]> {
    data.first_chunk().copied()
}

/// Decodes, and encodes again to see that nothing else was in there.
fn strict<C: SolCall>(data: &[u8]) -> Result<C, CallError> {
    if selector(data) != Some(C::SELECTOR) {
        return Err(CallError::UnknownFunction);
    }
    let call = C::abi_decode_validate(data).map_err(|_| CallError::Malformed)?;
    if call.abi_encode() == data { Ok(call) } else { Err(CallError::Malformed) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calls() -> Vec<Call> {
        let address = Address::repeat_byte(0x11);
        vec![
            Call::PublishTask {
                source: address,
                config: "https://gateway.example/ipfs/Qm".into(),
                expiry: ChainTime::from_secs(1_900_000_000),
                payment: Wei::from_u128(3_500_000_000_000_000),
            },
            Call::ConfirmResponse { response: address },
            Call::CancelTask { task: address },
            Call::Deposit { account: address, amount: Wei::from_u128(5) },
            Call::NoOp,
        ]
    }

    #[test]
    fn every_call_reads_back_from_its_call_data() {
        for call in calls() {
            let (target, data) = encode_call(&call);
            assert_eq!(decode_call(target, call.value(), &data), Ok(call));
        }
    }

    #[test]
    fn call_data_with_anything_more_or_less_is_refused() {
        for call in calls() {
            let (target, data) = encode_call(&call);
            let mut longer = data.to_vec();
            longer.push(0);
            assert!(decode_call(target, call.value(), &longer).is_err(), "longer {call:?}");
            if let Some(shorter) = data.len().checked_sub(1) {
                let cut = &data[..shorter];
                assert!(decode_call(target, call.value(), cut).is_err(), "shorter {call:?}");
            }
        }
    }

    #[test]
    fn an_address_with_dirty_padding_is_refused() {
        let (target, data) = encode_call(&Call::CancelTask { task: Address::repeat_byte(1) });
        let mut dirty = data.to_vec();
        dirty[4] = 1;
        assert_eq!(decode_call(target, Wei::ZERO, &dirty), Err(CallError::Malformed));
    }

    #[test]
    fn coins_sent_along_with_a_publish_are_refused() {
        for call in calls().into_iter().filter(|call| call.value().is_zero()) {
            let (target, data) = encode_call(&call);
            let value = Wei::from_u128(1);
            let refused = Err(CallError::UnexpectedValue { value });
            assert_eq!(decode_call(target, value, &data), refused);
        }
    }

    #[test]
    fn an_expiry_past_64_bits_is_refused() {
        let params = TaskParams {
            source: Address::ZERO,
            config: String::new(),
            expiryTime: U256::MAX,
            payment: U256::ZERO,
        };
        let data = IController::publishTaskCall { taskParams: params }.abi_encode();
        let got = decode_call(Target::Controller, Wei::ZERO, &data);
        assert_eq!(got, Err(CallError::ExpiryTooLarge));
    }

    #[test]
    fn a_publish_with_a_link_of_77_characters_has_292_bytes() {
        let call = Call::PublishTask {
            source: Address::ZERO,
            config: "x".repeat(77),
            expiry: ChainTime::from_secs(1),
            payment: Wei::ZERO,
        };
        assert_eq!(encode_call(&call).1.len(), 292);
    }

    #[test]
    fn other_functions_of_the_controller_are_refused() {
        let data = IController::nexusCall {}.abi_encode();
        let got = decode_call(Target::Controller, Wei::ZERO, &data);
        assert_eq!(got, Err(CallError::UnknownFunction));
    }
}
