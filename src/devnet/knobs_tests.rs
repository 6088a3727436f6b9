use super::*;

#[test]
fn every_knob_can_be_turned_and_prints_what_was_turned() {
    let mut knobs = Knobs::default();
    assert_eq!(knobs.to_string(), "");
    for pair in [
        "port=8600",
        "providers=3",
        "latency=200ms..2s",
        "fail=5%",
        "silent=1%",
        "wrong=2%",
        "cheap=3%",
        "gateway-errors=5%",
        "reorg=7",
        "block-time=1s",
        "seed=7",
        "service=vader=http://127.0.0.1:5555",
    ] {
        knobs.turn_pair(pair).unwrap();
    }
    assert_eq!(knobs.port, 8600);
    assert_eq!(
        knobs.to_string(),
        "providers=3 latency=200ms..2s fail=5% silent=1% wrong=2% cheap=3% gateway-errors=5% \
         reorg=7 block-time=1s seed=7 service=vader=http://127.0.0.1:5555/"
    );
    knobs.turn("service", "vader=http://127.0.0.1:5556").unwrap();
    knobs.turn("service", "builtin:vader=http://127.0.0.1:5557").unwrap();
    assert_eq!(knobs.services.len(), 1, "one service a source, the later one wins");
    let address = "0x4F1477E0a1DA8340E964D01e32Dff302F3CB203A";
    knobs.turn("service", &format!("{address}=http://127.0.0.1:5557")).unwrap();
    assert_eq!(knobs.services[1].source, ServiceSource::At(address.parse().unwrap()));
}

#[test]
fn a_bad_knob_is_refused_with_what_would_work() {
    let cases = [
        ("fail", "write `fail=5%`"),
        ("fial=5%", "did you mean `fail`?"),
        ("fail=5", "write `5%` or `0.5%`"),
        ("fail=105%", "write `5%` or `0.5%`"),
        ("providers=257", "write a number from 0 to 256"),
        ("providers=-1", "write a number from 0 to 256"),
        ("port=65536", "write a number from 0 to 65535"),
        ("seed=18446744073709551616", "write a number from 0 to 18446744073709551615"),
        ("latency=2s..1s", "write `200ms` or `200ms..2s`, the smaller first"),
        ("latency=fast", "write `200ms` or `200ms..2s`, the smaller first"),
        ("service=vader", "write `--service vader=http://127.0.0.1:5555`"),
        ("service=vader=file:///etc/passwd", "write `--service vader=http://127.0.0.1:5555`"),
        ("service=0x12=http://127.0.0.1", "write `--service vader=http://127.0.0.1:5555`"),
        ("service==http://127.0.0.1", "write `--service vader=http://127.0.0.1:5555`"),
        ("service=a b=http://127.0.0.1", "write `--service vader=http://127.0.0.1:5555`"),
    ];
    for (pair, hint) in cases {
        let error = Knobs::default().turn_pair(pair).unwrap_err();
        assert_eq!(error.hint(), hint, "{pair}: {error}");
    }
    let error = Knobs::default().turn("velocity", "1").unwrap_err();
    assert!(error.hint().starts_with("the knobs are port, providers, latency"), "{error}");
}
