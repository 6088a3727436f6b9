use std::io::Write;

use super::*;
use crate::units::{ChainTime, Nonce, Seq, Slot};

/// The first account of every devnet, known to all.
const KEY: &str = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";

fn signer() -> Signer {
    Signer::from_key(&Secret::from(KEY.to_owned())).unwrap()
}

fn fees(legacy: bool) -> Fees {
    Fees {
        gas_limit: 1_500_000,
        max_fee_per_gas: Wei::from_u128(30_000_000_000),
        max_priority_fee_per_gas: Wei::from_u128(1_000_000_000),
        legacy,
    }
}

fn request(call: Call, legacy: bool) -> SignRequest {
    let slot = Slot { wallet: signer().address(), nonce: Nonce(7) };
    SignRequest { slot, seq: Seq(2), call, fees: fees(legacy) }
}

fn calls() -> Vec<Call> {
    let address = Address::repeat_byte(0x22);
    vec![
        Call::PublishTask {
            source: address,
            config: "https://gateway.example/ipfs/Qm".into(),
            expiry: ChainTime::from_secs(1_900_000_000),
            payment: Wei::from_u128(10_000_000_000_000_000),
        },
        Call::ConfirmResponse { response: address },
        Call::CancelTask { task: address },
        Call::Deposit { account: address, amount: Wei::from_u128(5) },
        Call::NoOp,
    ]
}

#[test]
fn what_was_signed_says_what_was_asked_in_both_transaction_types() {
    let (signer, network) = (signer(), Network::devnet());
    for call in calls() {
        for legacy in [false, true] {
            let request = request(call.clone(), legacy);
            let tx = signer.sign(&network, &request).unwrap();
            assert_eq!((tx.slot, tx.seq), (request.slot, request.seq));
            assert_eq!(tx.hash, keccak256(&tx.raw));
            let read = decode(&tx.raw, &network, signer.address()).unwrap();
            assert_eq!((read.nonce, &read.call), (7, &call));
            assert_eq!(peek(&tx.raw, &network, signer.address()), Some(read));
        }
    }
}

#[test]
fn the_same_request_gives_the_same_bytes() {
    let (signer, network) = (signer(), Network::devnet());
    let request = request(Call::NoOp, false);
    let first = signer.sign(&network, &request).unwrap();
    assert!((0..20).all(|_| signer.sign(&network, &request).unwrap() == first));
}

#[test]
fn a_slot_of_another_wallet_is_not_signed_for() {
    let mut request = request(Call::NoOp, false);
    request.slot.wallet = Address::ZERO;
    let refused = signer().sign(&Network::devnet(), &request);
    let signer = signer().address();
    assert_eq!(refused, Err(SignError::OtherWallet { wallet: Address::ZERO, signer }));
}

#[test]
fn fees_that_no_transaction_holds_are_refused() {
    let mut too_much = request(Call::NoOp, false);
    too_much.fees.max_fee_per_gas = Wei::from_u256(alloy::primitives::U256::MAX);
    let mut tip_above_cap = request(Call::NoOp, false);
    tip_above_cap.fees.max_priority_fee_per_gas = Wei::from_u128(30_000_000_001);
    for request in [too_much, tip_above_cap] {
        assert_eq!(signer().sign(&Network::devnet(), &request), Err(SignError::Fees));
    }
}

#[test]
fn bytes_of_another_chain_contract_signer_or_call_are_refused() {
    let (signer, network) = (signer(), Network::devnet());
    let tx = signer.sign(&network, &request(calls()[0].clone(), false)).unwrap();
    let address = signer.address();
    let other_chain = Network { chain_id: 1, ..Network::devnet() };
    assert_eq!(decode(&tx.raw, &other_chain, address), Err(SignError::Changed));
    let other_contract = Network { controller: Address::ZERO, ..Network::devnet() };
    assert_eq!(decode(&tx.raw, &other_contract, address), Err(SignError::Changed));
    assert_eq!(decode(&tx.raw, &network, Address::ZERO), Err(SignError::Signature));
    let swapped = Network { controller: network.vault, vault: network.controller, ..network };
    let refused = decode(&tx.raw, &swapped, address);
    assert_eq!(refused, Err(SignError::NotListed(CallError::UnknownFunction)));
}

#[test]
fn no_cut_or_flipped_bytes_are_taken_for_ours() {
    let (signer, network) = (signer(), Network::devnet());
    let tx = signer.sign(&network, &request(calls()[0].clone(), false)).unwrap();
    let whole = decode(&tx.raw, &network, signer.address()).unwrap();
    for index in 0..tx.raw.len() {
        assert!(decode(&tx.raw[..index], &network, signer.address()).is_err(), "cut at {index}");
        let mut flipped = tx.raw.to_vec();
        flipped[index] ^= 0x10;
        assert_ne!(decode(&flipped, &network, signer.address()), Ok(whole.clone()), "at {index}");
    }
}

#[test]
fn the_key_is_in_no_debug_form_and_in_no_error() {
    let secret = KEY.trim_start_matches("0x");
    assert!(!format!("{:?}", signer()).contains(&secret[..16]));
    let broken = Secret::from(format!("{KEY}zz"));
    let error = Signer::from_key(&broken).unwrap_err();
    let shown = format!("{error} {error:?} {}", error.hint());
    assert!(!shown.contains(&secret[..16]), "{shown}");
}

#[test]
fn texts_that_are_no_keys_are_refused() {
    let zero = "0x".to_owned() + &"0".repeat(64);
    let order = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";
    for text in ["", "0x", "12", &KEY[..40], &zero, order, "hello"] {
        assert!(Signer::from_key(&Secret::from(text.to_owned())).is_err(), "{text}");
    }
    assert!(Signer::from_key(&Secret::from(format!(" {KEY}\n"))).is_ok());
}

/// A v3 keystore of the web3 secret storage definition's own pbkdf2 example.
const KEYSTORE: &str = r#"{"crypto":{"cipher":"aes-128-ctr","cipherparams":{"iv":"6087dab2f9fdbbfaddc31a909735c1e6"},"ciphertext":"5318b4d5bcd28de64ee5559e671353e16f075ecae9f99c7a79a38af5f869aa46","kdf":"pbkdf2","kdfparams":{"c":262144,"dklen":32,"prf":"hmac-sha256","salt":"ae3cd4e7013836a3df6bd7241b12db061dbe2c6785853cce422d148a624ce0bd"},"mac":"517ead924a9d0dc3124507e3393d175ce3ff7c1e96529c6c555ce9e51205e9b2"},"id":"3198bc9c-6672-5ab3-d995-4942343ae5b6","version":3}"#;

#[cfg(unix)]
#[test]
fn a_keystore_opens_with_its_password_and_only_for_its_owner() {
    use std::os::unix::fs::PermissionsExt;
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(KEYSTORE.as_bytes()).unwrap();
    let password = |text: &str| Secret::from(text.to_owned());
    let opened = Signer::from_keystore(file.path(), &password("testpassword")).unwrap();
    let text = "7a28b5ba57c53603b0b07b56bba752f7784bf506fa95edc395f5cf6c7514fe9d";
    let same = Signer::from_key(&password(text)).unwrap();
    assert_eq!(opened.address(), same.address());
    assert!(!opened.is_weak());

    let wrong = Signer::from_keystore(file.path(), &password("other"));
    assert!(matches!(wrong, Err(KeyError::Locked { .. })));

    std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(0o640)).unwrap();
    let open_to_all = Signer::from_keystore(file.path(), &password("testpassword"));
    assert!(matches!(open_to_all, Err(KeyError::ReadableByOthers { .. })));
}

#[test]
fn a_keystore_with_a_low_cost_is_weak() {
    let scrypt = |n: u64| format!(r#"{{"crypto":{{"kdfparams":{{"n":{n},"r":8,"p":1}}}}}}"#);
    assert!(is_weak(&scrypt(1 << 13)) && is_weak("{}") && is_weak("not json"));
    assert!(!is_weak(&scrypt(1 << 18)));
}
