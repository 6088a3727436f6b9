use super::*;

fn gwei(amount: u128) -> Wei {
    Wei::from_u128(amount * 1_000_000_000)
}

fn quoted(prices: &Prices) -> (Wei, Wei, bool) {
    let quote = quote(prices).unwrap();
    (quote.max_fee_per_gas, quote.max_priority_fee_per_gas, quote.legacy)
}

#[test]
fn a_base_fee_chain_pays_twice_the_base_and_the_median_tip() {
    let prices = Prices {
        base_fee: Some(gwei(10)),
        tips: vec![gwei(9), gwei(1), gwei(2)],
        base_fees: vec![gwei(8), gwei(9), gwei(10)],
        gas_price: Some(gwei(500)),
        tip: Some(gwei(400)),
    };
    assert_eq!(quoted(&prices), (gwei(22), gwei(2), false));
}

#[test]
fn a_made_up_fee_history_is_ignored() {
    let prices = Prices {
        base_fee: Some(gwei(1)),
        tips: vec![gwei(7); 10],
        base_fees: vec![gwei(1); 10],
        gas_price: Some(gwei(6)),
        tip: Some(gwei(3)),
    };
    assert_eq!(quoted(&prices), (gwei(6), gwei(3), false));
    let silent = Prices { tip: None, ..prices.clone() };
    assert_eq!(quoted(&silent), (gwei(7), gwei(5), false));
    let bare = Prices { gas_price: None, tip: None, ..prices };
    assert_eq!(quoted(&bare), (gwei(2), Wei::ZERO, false));
}

#[test]
fn a_chain_without_a_base_fee_gets_type_0_at_a_tenth_more() {
    let prices = Prices { gas_price: Some(gwei(10)), ..Prices::default() };
    assert_eq!(quoted(&prices), (gwei(11), gwei(11), true));
}

#[test]
fn a_node_that_says_nothing_usable_gets_no_quote() {
    assert_eq!(quote(&Prices::default()), None);
    let absurd = Wei::from_u256(U256::MAX);
    assert_eq!(quote(&Prices { base_fee: Some(absurd), ..Prices::default() }), None);
    assert_eq!(quote(&Prices { gas_price: Some(absurd), ..Prices::default() }), None);
}

fn publish() -> GasKey {
    GasKey::publish(Address::ZERO, &"x".repeat(77))
}

#[test]
fn the_key_of_a_publication_is_its_source_and_words() {
    assert_eq!(publish(), GasKey::Publish { source: Address::ZERO, words: 3 });
    assert_eq!(publish(), GasKey::publish(Address::ZERO, &"y".repeat(65)));
    assert_ne!(publish(), GasKey::publish(Address::ZERO, &"y".repeat(64)));
    assert_ne!(publish(), GasKey::publish(Address::repeat_byte(1), &"y".repeat(77)));
}

#[test]
fn an_estimate_counts_until_enough_receipts_were_seen() {
    let mut book = GasBook::default();
    assert!(book.wants_estimate(publish()));
    assert_eq!(book.limit(publish()), TYPICAL_PUBLISH_GAS);
    book.estimated(publish(), 1_000_000);
    assert!(!book.wants_estimate(publish()));
    assert_eq!(book.limit(publish()), 1_080_000);
    for _ in 0..7 {
        book.used(publish(), 990_000, 1_080_000, true);
    }
    assert_eq!(book.limit(publish()), 1_080_000);
    book.used(publish(), 980_000, 1_080_000, true);
    assert_eq!(book.limit(publish()), 990_000 * 103 / 100 + 5_000);
}

#[test]
fn receipts_never_push_the_limit_below_the_estimate() {
    let mut book = GasBook::default();
    book.estimated(GasKey::Cancel, 100_000);
    for _ in 0..100 {
        book.used(GasKey::Cancel, 70_000, 108_000, true);
    }
    assert_eq!(book.limit(GasKey::Cancel), 100_000);
}

/// The estimate may be of a response whose provider has earned before, and so may all receipts.
#[test]
fn a_confirm_has_room_to_be_the_first_that_its_provider_earns() {
    let mut book = GasBook::default();
    book.estimated(GasKey::Confirm, 82_000);
    let first = 82_000 + EMPTY_STORAGE_GAS * 64 / 63 * 64 / 63;
    for _ in 0..20 {
        assert!(book.limit(GasKey::Confirm) >= first, "{} of {first}", book.limit(GasKey::Confirm));
        book.used(GasKey::Confirm, 80_000, 100_000, true);
    }
}

#[test]
fn an_inner_call_that_runs_out_leaves_a_64th() {
    for (used, limit, ran) in
        [(100, 100, true), (98_500, 100_000, true), (96_000, 100_000, true), (60, 100, false)]
    {
        assert_eq!(ran_out(used, limit), ran, "{used} of {limit}");
    }
}

/// A process that goes on with a run sees only publications beside others, and the last ones may
/// come when everything else is paid out.
#[test]
fn a_publication_has_room_to_be_the_first_in_escrow_again() {
    let mut book = GasBook::default();
    book.estimated(publish(), 282_000);
    for _ in 0..11 {
        book.used(publish(), 278_000, 304_560, true);
    }
    // What an estimate says where nothing is in escrow.
    let first = 282_000 + EMPTY_STORAGE_GAS * 64 / 63 * 64 / 63;
    assert!(book.limit(publish()) >= first, "{} of {first}", book.limit(publish()));
    assert!(book.limit(publish()) <= 304_560, "never above what the plan counts on");
}

#[test]
fn running_out_of_gas_asks_for_an_estimate_and_raises_the_limit_meanwhile() {
    let mut book = GasBook::default();
    book.estimated(publish(), 1_000_000);
    book.used(publish(), 1_080_000, 1_080_000, false);
    assert!(book.wants_estimate(publish()));
    assert!(book.limit(publish()) >= 1_620_000);
    book.estimated(publish(), 1_700_000);
    assert_eq!(book.limit(publish()), 1_836_000);
}

#[test]
fn a_revert_that_left_gas_over_teaches_nothing() {
    let mut book = GasBook::default();
    book.estimated(publish(), 1_000_000);
    let before = book.clone();
    book.used(publish(), 60_000, 1_080_000, false);
    assert_eq!(book, before);
}

#[test]
fn an_estimate_grows_old() {
    let mut book = GasBook::default();
    book.estimated(publish(), 1_000_000);
    for _ in 0..500 {
        book.used(publish(), 900_000, 1_080_000, true);
    }
    assert!(book.wants_estimate(publish()));
}

#[test]
fn a_no_op_always_takes_what_a_transfer_takes() {
    let mut book = GasBook::default();
    book.used(GasKey::NoOp, 50_000, 60_000, true);
    assert_eq!(book.limit(GasKey::NoOp), 21_000);
}

#[test]
fn no_number_makes_gas_overflow() {
    let mut book = GasBook::default();
    book.estimated(publish(), u64::MAX);
    assert_eq!(book.limit(publish()), u64::MAX);
    book.used(publish(), u64::MAX, u64::MAX, false);
    assert_eq!(book.limit(publish()), u64::MAX);
    assert!(gas_paid(u64::MAX, u128::MAX) > gas_paid(1, u128::MAX));
}

#[test]
fn what_is_expected_is_base_fee_and_tip_and_never_above_the_cap() {
    let wei = Wei::from_u128;
    assert_eq!(expected_price(Some(wei(10)), wei(21), wei(1)), wei(11));
    assert_eq!(expected_price(Some(wei(30)), wei(21), wei(1)), wei(21));
    assert_eq!(expected_price(None, wei(22), wei(22)), wei(22), "type 0 pays its offer");
}

#[test]
fn expected_gas_has_no_margin_and_the_limit_has_one() {
    let mut book = GasBook::default();
    let usual = book.expected(GasKey::Confirm);
    assert!(usual < book.limit(GasKey::Confirm));
    book.estimated(GasKey::Confirm, 100_000);
    assert_eq!(book.expected(GasKey::Confirm), 100_000);
    assert!(book.limit(GasKey::Confirm) > 100_000);
}
