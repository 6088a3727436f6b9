use super::*;

/// Which settings a row of the table is judged under.
#[derive(Clone, Copy, Debug)]
enum Policy {
    /// Only the listed gateways.
    Listed,
    /// Any https as well.
    AnyHttps,
    /// Any https, and private hosts.
    Private,
}
use Policy::{AnyHttps, Listed, Private};
use Range as R;

fn guard(policy: Policy) -> Guard {
    Guard::new(&Network {
        gateways: vec![
            "https://cipfs.ogpuscan.io/ipfs/".into(),
            "http://plain.example:8080/ipfs/".into(),
            "http://127.0.0.1:8700/ipfs/".into(),
        ],
        allow_any_https: matches!(policy, AnyHttps | Private),
        allow_private_hosts: matches!(policy, Private),
        ..Network::testnet()
    })
    .unwrap()
}

const OK: Result<(), Rule> = Ok(());

fn at(range: Range) -> Result<(), Rule> {
    Err(Rule::Address(range))
}

#[rustfmt::skip]
#[expect(clippy::too_many_lines, reason = "a table")]
fn table() -> Vec<(Policy, &'static str, Result<(), Rule>)> {
    vec![
        // Listed gateways.
        (Listed, "https://cipfs.ogpuscan.io/ipfs/QmX", OK),
        (Listed, "https://CIPFS.OGPUSCAN.IO/ipfs/QmX", OK),
        (Listed, "https://cipfs.ogpuscan.io./ipfs/QmX", OK),
        (Listed, "https://cipfs.ogpuscan.io:443/ipfs/QmX", OK),
        (Listed, "https://cipfs.ogpuscan.io/ipfs/QmX?filename=a#b", OK),
        (Listed, "https://cipfs%2eogpuscan.io/ipfs/QmX", OK),
        (Listed, "HTTPS://cipfs.ogpuscan.io/", OK),
        (Listed, "http://plain.example:8080/ipfs/QmX", OK),
        (Listed, "http://plain.example.:8080/ipfs/QmX", OK),
        (Listed, "https://plain.example/ipfs/QmX", OK),
        (Private, "http://127.0.0.1:8700/ipfs/QmX", OK),
        (Private, "http://0x7f000001:8700/ipfs/QmX", OK),
        // A listed gateway by another door.
        (Listed, "http://cipfs.ogpuscan.io/ipfs/QmX", Err(Rule::Scheme)),
        (Listed, "http://cipfs.ogpuscan.io:443/ipfs/QmX", Err(Rule::Scheme)),
        (Listed, "https://cipfs.ogpuscan.io:8443/ipfs/QmX", Err(Rule::Port)),
        (Listed, "https://plain.example:8080/ipfs/QmX", Err(Rule::Port)),
        (Listed, "http://plain.example/ipfs/QmX", Err(Rule::Scheme)),
        (Listed, "http://plain.example:8081/ipfs/QmX", Err(Rule::Scheme)),
        (AnyHttps, "http://plain.example:22/", Err(Rule::Scheme)),
        (Private, "http://127.0.0.1:8701/", Err(Rule::Scheme)),
        // A listed gateway at a private address without the switch.
        (Listed, "http://127.0.0.1:8700/ipfs/QmX", at(R::Loopback)),
        (AnyHttps, "http://127.0.0.1:8700/ipfs/QmX", at(R::Loopback)),
        // Other hosts.
        (Listed, "https://evil.example.org/", Err(Rule::Unlisted)),
        (Listed, "https://ogpuscan.io/ipfs/QmX", Err(Rule::Unlisted)),
        (Listed, "https://a.cipfs.ogpuscan.io/", Err(Rule::Unlisted)),
        (Listed, "https://cipfs.ogpuscan.io.evil.org/", Err(Rule::Unlisted)),
        (Listed, "https://xcipfs.ogpuscan.io/", Err(Rule::Unlisted)),
        (Listed, "https://cipfs-ogpuscan.io/", Err(Rule::Unlisted)),
        (Listed, "https://evil.org/cipfs.ogpuscan.io/", Err(Rule::Unlisted)),
        (Listed, "https://evil.org?cipfs.ogpuscan.io/", Err(Rule::Unlisted)),
        (Listed, "https://evil.org#cipfs.ogpuscan.io/", Err(Rule::Unlisted)),
        (Listed, "https://cipfs.ogpuscan.io..", Err(Rule::Unlisted)),
        (Listed, "https://cipfѕ.ogpuscan.io/", Err(Rule::Unlisted)),
        (Listed, "https://xn--cipf-j9d.ogpuscan.io/", Err(Rule::Unlisted)),
        (Listed, "https://cipfs。ogpuscan。io/", OK),
        (Listed, "https://ｃipfs.ogpuscan.io/", OK),
        (Listed, "https://8.8.8.8/", Err(Rule::Unlisted)),
        (Listed, "https://127.0.0.1/", at(R::Loopback)),
        (Listed, "https://127.0.0.2/", Err(Rule::Unlisted)),
        (Listed, "https://localhost/", Err(Rule::Unlisted)),
        (AnyHttps, "https://evil.example.org/", OK),
        (AnyHttps, "https://evil.example.org./", OK),
        (AnyHttps, "https://bücher.example/", OK),
        (AnyHttps, "https://xn--bcher-kva.example/", OK),
        (AnyHttps, "https://8.8.8.8/", OK),
        (AnyHttps, "https://[2606:4700:4700::1111]/", OK),
        (AnyHttps, "http://evil.example.org/", Err(Rule::Scheme)),
        (AnyHttps, "https://evil.example.org:8443/", Err(Rule::Port)),
        (AnyHttps, "https://evil.example.org:80/", Err(Rule::Port)),
        (AnyHttps, "https://evil.example.org:22/", Err(Rule::Port)),
        (AnyHttps, "https://evil.example.org:0/", Err(Rule::Port)),
        (AnyHttps, "https://evil.example.org:6379/", Err(Rule::Port)),
        (AnyHttps, "https://8.8.8.8:9200/", Err(Rule::Port)),
        (AnyHttps, "https://evil..example.org/", Err(Rule::NotUrl)),
        // User info.
        (Listed, "https://user@cipfs.ogpuscan.io/", Err(Rule::UserInfo)),
        (Listed, "https://user:pw@cipfs.ogpuscan.io/", Err(Rule::UserInfo)),
        (Listed, "https://:pw@cipfs.ogpuscan.io/", Err(Rule::UserInfo)),
        (Listed, "https://cipfs.ogpuscan.io@evil.org/", Err(Rule::UserInfo)),
        (Listed, "https://cipfs.ogpuscan.io%40evil.org/", Err(Rule::NotUrl)),
        (Listed, "https://cipfs.ogpuscan.io:443@evil.org/", Err(Rule::UserInfo)),
        (AnyHttps, "https://evil.org:a@127.0.0.1/", Err(Rule::UserInfo)),
        (Private, "https://root@localhost/", Err(Rule::UserInfo)),
        // Schemes and forms.
        (Private, "file:///etc/passwd", Err(Rule::Scheme)),
        (Private, "ftp://cipfs.ogpuscan.io/", Err(Rule::Scheme)),
        (Private, "gopher://cipfs.ogpuscan.io/", Err(Rule::Scheme)),
        (Private, "data:application/json,{}", Err(Rule::Scheme)),
        (Private, "javascript:alert(1)", Err(Rule::Scheme)),
        (Private, "ws://cipfs.ogpuscan.io/", Err(Rule::Scheme)),
        (Private, "unix:/var/run/docker.sock", Err(Rule::Scheme)),
        (Private, "ipfs://QmX", Err(Rule::Scheme)),
        (Private, "jar:https://cipfs.ogpuscan.io!/", Err(Rule::Scheme)),
        (Private, "", Err(Rule::NotUrl)),
        (Private, "cipfs.ogpuscan.io/ipfs/QmX", Err(Rule::NotUrl)),
        (Private, "//cipfs.ogpuscan.io/ipfs/QmX", Err(Rule::NotUrl)),
        (Private, "/ipfs/QmX", Err(Rule::NotUrl)),
        (Private, "QmX", Err(Rule::NotUrl)),
        (Private, "https://", Err(Rule::NotUrl)),
        (Private, "https://:443/", Err(Rule::NotUrl)),
        (Private, "https://a b.example/", Err(Rule::NotUrl)),
        (Private, " https://cipfs.ogpuscan.io/", Err(Rule::NotUrl)),
        (Private, "https://cipfs.ogpuscan.io/\r\nHost: evil", Err(Rule::NotUrl)),
        (Private, "ht\ttps://cipfs.ogpuscan.io/", Err(Rule::NotUrl)),
        (Private, "https:\\\\evil.org\\", Err(Rule::NotUrl)),
        (Private, "https://evil.org\\@cipfs.ogpuscan.io/", Err(Rule::NotUrl)),
        (Private, "https://cipfs.ogpuscan.io:65536/", Err(Rule::NotUrl)),
        (Private, "https://cipfs.ogpuscan.io:x/", Err(Rule::NotUrl)),
        (Private, "https://256.1.1.1/", Err(Rule::NotUrl)),
        (Private, "https://1.2.3.4.5/", Err(Rule::NotUrl)),
        (Private, "https://[::1/", Err(Rule::NotUrl)),
        (Private, "https://[fe80::1%25eth0]/", Err(Rule::NotUrl)),
        (Private, "https://[v1.x]/", Err(Rule::NotUrl)),
        (Private, "https://ex%00ample.org/", Err(Rule::NotUrl)),
        (Private, "https://%zz/", Err(Rule::NotUrl)),
        // Local names.
        (AnyHttps, "https://localhost/", Err(Rule::LocalName)),
        (AnyHttps, "https://LOCALHOST./", Err(Rule::LocalName)),
        (AnyHttps, "https://a.localhost/", Err(Rule::LocalName)),
        (AnyHttps, "https://printer.local/", Err(Rule::LocalName)),
        (AnyHttps, "https://metadata.google.internal/", Err(Rule::LocalName)),
        (AnyHttps, "https://metadata/", Err(Rule::LocalName)),
        (AnyHttps, "https://router.lan/", Err(Rule::LocalName)),
        (AnyHttps, "https://nas.home.arpa/", Err(Rule::LocalName)),
        (AnyHttps, "https://localhost.localdomain/", Err(Rule::LocalName)),
        (AnyHttps, "https://notlocalhost.org/", OK),
        (AnyHttps, "https://local.example.org/", OK),
        (Private, "https://localhost/", OK),
        // IPv4 in every spelling.
        (AnyHttps, "https://127.0.0.1/", at(R::Loopback)),
        (AnyHttps, "https://127.0.0.1./", at(R::Loopback)),
        (AnyHttps, "https://127.1/", at(R::Loopback)),
        (AnyHttps, "https://127.255.255.254/", at(R::Loopback)),
        (AnyHttps, "https://2130706433/", at(R::Loopback)),
        (AnyHttps, "https://0x7f000001/", at(R::Loopback)),
        (AnyHttps, "https://0x7f.0.0.1/", at(R::Loopback)),
        (AnyHttps, "https://0x7F.1/", at(R::Loopback)),
        (AnyHttps, "https://0177.0.0.1/", at(R::Loopback)),
        (AnyHttps, "https://017700000001/", at(R::Loopback)),
        (AnyHttps, "https://%31%32%37.0.0.1/", at(R::Loopback)),
        (AnyHttps, "https://①②⑦.⓪.⓪.①/", at(R::Loopback)),
        (AnyHttps, "https://127。0。0。1/", at(R::Loopback)),
        (AnyHttps, "https://0/", at(R::Unspecified)),
        (AnyHttps, "https://0.0.0.0/", at(R::Unspecified)),
        (AnyHttps, "https://0.1.2.3/", at(R::Unspecified)),
        (AnyHttps, "https://10.0.0.1/", at(R::Private)),
        (AnyHttps, "https://10.255.255.255/", at(R::Private)),
        (AnyHttps, "https://012.1/", at(R::Private)),
        (AnyHttps, "https://11.0.0.0/", OK),
        (AnyHttps, "https://172.15.255.255/", OK),
        (AnyHttps, "https://172.16.0.1/", at(R::Private)),
        (AnyHttps, "https://172.31.255.255/", at(R::Private)),
        (AnyHttps, "https://172.32.0.0/", OK),
        (AnyHttps, "https://192.168.1.1/", at(R::Private)),
        (AnyHttps, "https://3232235777/", at(R::Private)),
        (AnyHttps, "https://192.169.0.0/", OK),
        (AnyHttps, "https://169.254.169.254/latest/meta-data/", at(R::LinkLocal)),
        (AnyHttps, "https://0xa9fea9fe/", at(R::LinkLocal)),
        (AnyHttps, "https://2852039166/", at(R::LinkLocal)),
        (AnyHttps, "https://0251.0376.0251.0376/", at(R::LinkLocal)),
        (AnyHttps, "https://100.64.0.1/", at(R::Shared)),
        (AnyHttps, "https://100.100.100.200/", at(R::Shared)),
        (AnyHttps, "https://100.128.0.0/", OK),
        (AnyHttps, "https://192.0.0.8/", at(R::Reserved)),
        (AnyHttps, "https://192.0.2.1/", at(R::Documentation)),
        (AnyHttps, "https://198.51.100.7/", at(R::Documentation)),
        (AnyHttps, "https://203.0.113.9/", at(R::Documentation)),
        (AnyHttps, "https://198.18.0.1/", at(R::Reserved)),
        (AnyHttps, "https://192.88.99.1/", at(R::Translated)),
        (AnyHttps, "https://224.0.0.1/", at(R::Multicast)),
        (AnyHttps, "https://239.255.255.255/", at(R::Multicast)),
        (AnyHttps, "https://240.0.0.1/", at(R::Reserved)),
        (AnyHttps, "https://255.255.255.255/", at(R::Reserved)),
        (AnyHttps, "https://4294967295/", at(R::Reserved)),
        (Private, "https://10.0.0.1/", OK),
        (Private, "https://192.168.1.1/", OK),
        (Private, "https://10.0.0.1:8443/", Err(Rule::Port)),
        // IPv6, and IPv4 inside it.
        (AnyHttps, "https://[::]/", at(R::Unspecified)),
        (AnyHttps, "https://[::1]/", at(R::Loopback)),
        (AnyHttps, "https://[0:0:0:0:0:0:0:1]/", at(R::Loopback)),
        (AnyHttps, "https://[::ffff:127.0.0.1]/", at(R::Mapped)),
        (AnyHttps, "https://[::ffff:7f00:1]/", at(R::Mapped)),
        (AnyHttps, "https://[::ffff:8.8.8.8]/", at(R::Mapped)),
        (AnyHttps, "https://[::127.0.0.1]/", at(R::Mapped)),
        (AnyHttps, "https://[::ffff:0:127.0.0.1]/", at(R::Translated)),
        (AnyHttps, "https://[64:ff9b::7f00:1]/", at(R::Translated)),
        (AnyHttps, "https://[64:ff9b::169.254.169.254]/", at(R::Translated)),
        (AnyHttps, "https://[64:ff9b:1::1]/", at(R::Translated)),
        (AnyHttps, "https://[2002:7f00:1::]/", at(R::Translated)),
        (AnyHttps, "https://[2001::1]/", at(R::Translated)),
        (AnyHttps, "https://[2001:2::1]/", at(R::Reserved)),
        (AnyHttps, "https://[2001:db8::1]/", at(R::Documentation)),
        (AnyHttps, "https://[3fff::1]/", at(R::Documentation)),
        (AnyHttps, "https://[fc00::1]/", at(R::UniqueLocal)),
        (AnyHttps, "https://[fd00:ec2::254]/", at(R::UniqueLocal)),
        (AnyHttps, "https://[fe80::1]/", at(R::LinkLocal)),
        (AnyHttps, "https://[fec0::1]/", at(R::LinkLocal)),
        (AnyHttps, "https://[ff02::1]/", at(R::Multicast)),
        (AnyHttps, "https://[100::1]/", at(R::Reserved)),
        (AnyHttps, "https://[4000::1]/", at(R::Reserved)),
        (AnyHttps, "https://[2a00:1450::1]/", OK),
        (Private, "https://[::1]/", OK),
        (Private, "https://[::ffff:127.0.0.1]/", OK),
    ]
}

#[test]
fn every_url_of_the_table_gets_its_verdict() {
    let table = table();
    assert!(table.len() >= 120, "{} rows", table.len());
    let mut wrong = Vec::new();
    for (policy, url, expected) in table {
        let found = match guard(policy).judge(url) {
            Ok(_) => Ok(()),
            Err(ContentError::Refused { rule, .. }) => Err(rule),
            Err(other) => panic!("{url}: {other}"),
        };
        if found != expected {
            wrong.push(format!("{policy:?} {url}: {found:?}, expected {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_url_longer_than_the_limit_is_refused_before_it_is_parsed() {
    let url = format!("https://cipfs.ogpuscan.io/{}", "a".repeat(LONGEST_URL));
    assert!(guard(Private).judge(&url).is_err());
    assert!(guard(Private).judge(&url[..LONGEST_URL]).is_ok());
}

/// The same decision once more, from the standard library's predicates and plain comparisons.
fn public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(ip) => {
            let [a, b, c, _] = ip.octets();
            !(a == 0
                || a >= 224
                || ip.is_private()
                || ip.is_loopback()
                || ip.is_link_local()
                || ip.is_documentation()
                || (a == 100 && (64..128).contains(&b))
                || (a == 198 && (18..20).contains(&b))
                || (a == 192 && b == 0 && c == 0)
                || (a == 192 && b == 88 && c == 99))
        }
        IpAddr::V6(ip) => {
            let [a, b, ..] = ip.segments();
            (0x2000..0x4000).contains(&a)
                && !(a == 0x2001 && (b < 0x200 || b == 0xdb8))
                && a != 0x2002
                && !(a == 0x3fff && b < 0x1000)
        }
    }
}

#[test]
fn the_ranges_agree_with_a_second_count_at_all_their_edges() {
    let mut samples: Vec<IpAddr> = Vec::new();
    for (first, bits, _) in V4 {
        let last = first.to_bits() | u32::MAX.checked_shr(bits).unwrap_or(0);
        for edge in [first.to_bits().wrapping_sub(1), first.to_bits(), last, last.wrapping_add(1)] {
            samples.push(Ipv4Addr::from_bits(edge).into());
        }
    }
    for (first, bits, _) in V6 {
        let last = first.to_bits() | u128::MAX.checked_shr(bits).unwrap_or(0);
        for edge in [first.to_bits().wrapping_sub(1), first.to_bits(), last, last.wrapping_add(1)] {
            samples.push(Ipv6Addr::from_bits(edge).into());
        }
    }
    for high in 0..=u16::MAX {
        let [a, b] = high.to_be_bytes();
        samples.push(Ipv4Addr::new(a, b, 99, 1).into());
        samples.push(Ipv6Addr::new(high, 0x4700, 0, 0, 0, 0, 0, 1).into());
    }
    for sample in samples {
        assert_eq!(range(sample).is_none(), public(sample), "{sample}: {:?}", range(sample));
    }
}

#[test]
fn the_pin_service_may_be_any_host_but_not_a_private_one() {
    let pin = |policy, url: &str| match guard(policy).judge_pin(url) {
        Ok(_) => Ok(()),
        Err(ContentError::Refused { rule, .. }) => Err(rule),
        Err(other) => panic!("{other}"),
    };
    assert_eq!(pin(Listed, "https://capi.ogpuscan.io/file/create"), OK);
    assert_eq!(pin(Listed, "http://pins.example:9000/file/create"), OK);
    assert_eq!(pin(Listed, "http://127.0.0.1:8700/file/create"), at(R::Loopback));
    assert_eq!(pin(Private, "http://127.0.0.1:8700/file/create"), OK);
    assert_eq!(pin(Private, "https://key@capi.ogpuscan.io/"), Err(Rule::UserInfo));
    assert_eq!(pin(Private, "file:///file/create"), Err(Rule::Scheme));
}

#[test]
fn a_gateway_of_the_settings_must_itself_be_a_plain_url() {
    for gateway in ["ftp://a.example/", "a.example", "https://u:p@a.example/ipfs/"] {
        let network = Network { gateways: vec![gateway.into()], ..Network::testnet() };
        assert!(Guard::new(&network).is_err(), "{gateway}");
    }
}
