//! May this URL be fetched, and may this address be connected to?

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use url::{Host, Url};

use super::ContentError;
use crate::units::{Network, Untrusted};

/// The longest URL that is read. The contract stores strings of any length.
const LONGEST_URL: usize = 4096;
/// The one port of an https host that is not among the gateways.
const HTTPS: u16 = 443;
/// Names that mean something on this machine or its network only.
const LOCAL_SUFFIXES: [&str; 7] =
    ["localhost", "local", "localdomain", "internal", "intranet", "lan", "home.arpa"];

/// Why the guard refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// No absolute URL, too long, or with blanks, control characters or backslashes.
    NotUrl,
    /// Neither https nor the http of a listed gateway.
    Scheme,
    /// A user name or a password before the host.
    UserInfo,
    /// The host is not among the network's gateways.
    Unlisted,
    /// A port that is neither a listed gateway's nor 443.
    Port,
    /// A name that only a local resolver knows.
    LocalName,
    /// The host is, or resolves to, an address that is not public.
    Address(Range),
    /// More redirects than are followed.
    Redirects,
}

/// What an address is, other than public.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Range {
    /// 0.0.0.0/8, `::`.
    Unspecified,
    /// 127.0.0.0/8, `::1`.
    Loopback,
    /// RFC 1918.
    Private,
    /// `fc00::/7`.
    UniqueLocal,
    /// 169.254.0.0/16 (cloud metadata too), `fe80::/10`, `fec0::/10`.
    LinkLocal,
    /// 100.64.0.0/10, carriers' address translation.
    Shared,
    /// 224.0.0.0/4, `ff00::/8`.
    Multicast,
    /// An IPv4 address within `::/96` or `::ffff:0:0/96`.
    Mapped,
    /// Reaches IPv4 through a translator: NAT64, 6to4, Teredo.
    Translated,
    /// For examples in documents.
    Documentation,
    /// All else that is not handed out for the public Internet.
    Reserved,
}

/// Ranges of IPv4 that are not public: first address, prefix length, what it is.
const V4: [(Ipv4Addr, u32, Range); 16] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8, Range::Unspecified),
    (Ipv4Addr::new(10, 0, 0, 0), 8, Range::Private),
    (Ipv4Addr::new(100, 64, 0, 0), 10, Range::Shared),
    (Ipv4Addr::new(127, 0, 0, 0), 8, Range::Loopback),
    (Ipv4Addr::new(169, 254, 0, 0), 16, Range::LinkLocal),
    (Ipv4Addr::new(172, 16, 0, 0), 12, Range::Private),
    (Ipv4Addr::new(192, 0, 0, 0), 24, Range::Reserved),
    (Ipv4Addr::new(192, 0, 2, 0), 24, Range::Documentation),
    (Ipv4Addr::new(192, 88, 99, 0), 24, Range::Translated),
    (Ipv4Addr::new(192, 168, 0, 0), 16, Range::Private),
    (Ipv4Addr::new(198, 18, 0, 0), 15, Range::Reserved),
    (Ipv4Addr::new(198, 51, 100, 0), 24, Range::Documentation),
    (Ipv4Addr::new(203, 0, 113, 0), 24, Range::Documentation),
    (Ipv4Addr::new(224, 0, 0, 0), 4, Range::Multicast),
    (Ipv4Addr::new(233, 252, 0, 0), 24, Range::Documentation),
    (Ipv4Addr::new(240, 0, 0, 0), 4, Range::Reserved),
];

/// Ranges of IPv6 that are not public; outside `2000::/3` nothing is.
const V6: [(Ipv6Addr, u32, Range); 18] = [
    (Ipv6Addr::UNSPECIFIED, 128, Range::Unspecified),
    (Ipv6Addr::LOCALHOST, 128, Range::Loopback),
    (Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96, Range::Mapped),
    (Ipv6Addr::UNSPECIFIED, 96, Range::Mapped),
    (Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, 0, 0), 96, Range::Translated),
    (Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96, Range::Translated),
    (Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, 0, 0), 48, Range::Translated),
    (Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 0), 64, Range::Reserved),
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 32, Range::Translated),
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23, Range::Reserved),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32, Range::Documentation),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16, Range::Translated),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20, Range::Documentation),
    (Ipv6Addr::new(0x5f00, 0, 0, 0, 0, 0, 0, 0), 16, Range::Reserved),
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7, Range::UniqueLocal),
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10, Range::LinkLocal),
    (Ipv6Addr::new(0xfec0, 0, 0, 0, 0, 0, 0, 0), 10, Range::LinkLocal),
    (Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8, Range::Multicast),
];

/// The rules of one network. Cheap to clone.
///
/// | asked | allowed when |
/// |---|---|
/// | form | absolute, at most 4,096 bytes, no blanks, control characters or backslashes |
/// | user info | never |
/// | scheme, host, port | those of a listed gateway; or https on 443 of a listed gateway's host, or of any host with `allow_any_https` |
/// | local names | listed, or `allow_private_hosts` |
/// | addresses | public, or `allow_private_hosts`; also for listed gateways |
///
/// The `url` crate has brought octal, hexadecimal and short IPv4 forms, percent signs and
/// international names to one form before a host is compared; a dot at its end is dropped here.
#[derive(Clone, Debug)]
pub struct Guard {
    listed: Arc<[Url]>,
    any_https: bool,
    private_hosts: bool,
}

impl Guard {
    /// The guard of a network.
    ///
    /// # Errors
    ///
    /// [`ContentError::Refused`] if a listed gateway is itself no http or https URL.
    pub fn new(network: &Network) -> Result<Self, ContentError> {
        let mut listed = Vec::with_capacity(network.gateways.len());
        for text in &network.gateways {
            listed.push(parse(text).and_then(plain).map_err(|rule| refused(text, rule))?);
        }
        Ok(Self {
            listed: listed.into(),
            any_https: network.allow_any_https,
            private_hosts: network.allow_private_hosts,
        })
    }

    /// The listed gateways, in the order of the settings.
    pub fn listed(&self) -> &[Url] {
        &self.listed
    }

    /// Reads and judges a URL from outside. What comes back has no fragment.
    ///
    /// # Errors
    ///
    /// [`ContentError::Refused`] with the first rule that the URL breaks.
    pub fn judge(&self, text: &str) -> Result<Url, ContentError> {
        let url = parse(text).map_err(|rule| refused(text, rule))?;
        // What is connected to is as long as what was judged: odd characters take more room there.
        parse(url.as_str()).map_err(|rule| refused(text, rule))?;
        self.judge_parsed(&url).map_err(|rule| refused(text, rule))?;
        Ok(url)
    }

    /// Reads and judges the URL of the pin service, which the settings name: any host and port
    /// over http or https, but the rules on user info and addresses hold.
    ///
    /// # Errors
    ///
    /// [`ContentError::Refused`] with the first rule that the URL breaks.
    pub fn judge_pin(&self, text: &str) -> Result<Url, ContentError> {
        let url = parse(text).and_then(plain).map_err(|rule| refused(text, rule))?;
        self.judge_literal(&url).map_err(|rule| refused(text, rule))?;
        Ok(url)
    }

    /// Judges an address that a name resolved to; only these are connected to.
    ///
    /// # Errors
    ///
    /// [`Rule::Address`] if it is not public and private hosts are not allowed.
    pub fn judge_address(&self, address: IpAddr) -> Result<(), Rule> {
        match range(address) {
            Some(range) if !self.private_hosts => Err(Rule::Address(range)),
            _ => Ok(()),
        }
    }

    fn judge_parsed(&self, url: &Url) -> Result<(), Rule> {
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Rule::UserInfo);
        }
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Rule::Scheme);
        }
        let same_host: Vec<&Url> =
            self.listed.iter().filter(|own| host(own) == host(url)).collect();
        let same_door =
            |own: &&Url| own.scheme() == url.scheme() && own.port_or_known_default() == port(url);
        if same_host.iter().any(same_door) {
            return self.judge_literal(url);
        }
        if same_host.is_empty() && !self.any_https {
            return Err(Rule::Unlisted);
        }
        if url.scheme() != "https" {
            return Err(Rule::Scheme);
        }
        if port(url) != Some(HTTPS) {
            return Err(Rule::Port);
        }
        self.judge_name(url)?;
        self.judge_literal(url)
    }

    fn judge_name(&self, url: &Url) -> Result<(), Rule> {
        let Some(Host::Domain(name)) = url.host() else { return Ok(()) };
        let name = name.strip_suffix('.').unwrap_or(name);
        if name.split('.').any(str::is_empty) {
            return Err(Rule::NotUrl);
        }
        let local = !name.contains('.')
            || LOCAL_SUFFIXES.iter().any(|suffix| {
                name.strip_suffix(suffix).is_some_and(|left| left.is_empty() || left.ends_with('.'))
            });
        if local && !self.private_hosts { Err(Rule::LocalName) } else { Ok(()) }
    }

    fn judge_literal(&self, url: &Url) -> Result<(), Rule> {
        match url.host() {
            Some(Host::Ipv4(address)) => self.judge_address(address.into()),
            Some(Host::Ipv6(address)) => self.judge_address(address.into()),
            Some(Host::Domain(_)) | None => Ok(()),
        }
    }
}

/// What `address` is, if not public.
pub fn range(address: IpAddr) -> Option<Range> {
    match address {
        IpAddr::V4(v4) => V4
            .iter()
            .filter(|(first, bits, _)| (v4.to_bits() ^ first.to_bits()).leading_zeros() >= *bits)
            .max_by_key(|(_, bits, _)| *bits)
            .map(|(_, _, range)| *range),
        IpAddr::V6(v6) => {
            let known = V6
                .iter()
                .find(|(first, bits, _)| (v6.to_bits() ^ first.to_bits()).leading_zeros() >= *bits);
            let global = v6.segments()[0] & 0xe000 == 0x2000;
            known.map(|(_, _, range)| *range).or((!global).then_some(Range::Reserved))
        }
    }
}

/// Wraps a refusal with the text that it is about.
pub(super) fn refused(url: &str, rule: Rule) -> ContentError {
    ContentError::Refused { url: Untrusted::from(url), rule }
}

fn parse(text: &str) -> Result<Url, Rule> {
    let odd = |c: char| c.is_control() || c.is_whitespace() || c == '\\';
    if text.len() > LONGEST_URL || text.contains(odd) {
        return Err(Rule::NotUrl);
    }
    let mut url = Url::parse(text).map_err(|_| Rule::NotUrl)?;
    url.set_fragment(None);
    Ok(url)
}

/// Passes a URL of the settings on if it is http or https without user info.
fn plain(url: Url) -> Result<Url, Rule> {
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Rule::UserInfo);
    }
    if matches!(url.scheme(), "http" | "https") { Ok(url) } else { Err(Rule::Scheme) }
}

fn host(url: &Url) -> Option<&str> {
    url.host_str().map(|name| name.strip_suffix('.').unwrap_or(name))
}

fn port(url: &Url) -> Option<u16> {
    url.port_or_known_default()
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotUrl => f.write_str("it is not a plain http or https URL"),
            Self::Scheme => f.write_str("only https, and the http of a listed gateway, is read"),
            Self::UserInfo => f.write_str("it holds a user name or a password"),
            Self::Unlisted => f.write_str("its host is not among the network's gateways"),
            Self::Port => f.write_str("its port is neither 443 nor a listed gateway's"),
            Self::LocalName => f.write_str("its host is a local name"),
            Self::Address(range) => write!(f, "its host is {range} address"),
            Self::Redirects => f.write_str("it is behind too many redirects"),
        }
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unspecified => "an unspecified",
            Self::Loopback => "a loopback",
            Self::Private => "a private",
            Self::UniqueLocal => "a unique local",
            Self::LinkLocal => "a link-local",
            Self::Shared => "a carrier's shared",
            Self::Multicast => "a multicast",
            Self::Mapped => "an IPv4-mapped",
            Self::Translated => "a translated IPv4",
            Self::Documentation => "a documentation",
            Self::Reserved => "a reserved",
        })
    }
}

#[cfg(test)]
mod tests;
