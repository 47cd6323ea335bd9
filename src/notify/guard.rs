//! Where messages may go: a target's address must not make this program ask
//! somebody within its own network, who trusts it.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use http::Uri;

/// The address to ask, if it may be asked.
///
/// # Errors
/// With what is wrong with it. It is not in the message: it may be a secret.
pub fn url(text: &str, private: bool) -> Result<Uri, String> {
    let uri: Uri = text.parse().map_err(|_| "the url is none".to_owned())?;
    let host = uri.host().ok_or("the url has no host")?;
    match uri.scheme_str() {
        Some("https") => {}
        Some("http") if private => {}
        _ => return Err("the url must be https://, or allowPrivate be true".to_owned()),
    }
    let literal = host.trim_matches(['[', ']']).parse::<IpAddr>();
    if !private && literal.is_ok_and(|address| !is_public(address)) {
        return Err(REFUSED.to_owned());
    }
    Ok(uri)
}

const REFUSED: &str =
    "the address is within a private network; set allowPrivate where that is meant";

/// The addresses of a name that may be asked.
///
/// # Errors
/// If it has none.
pub fn allowed(found: Vec<SocketAddr>, private: bool) -> std::io::Result<Vec<SocketAddr>> {
    let allowed: Vec<_> = found
        .into_iter()
        .filter(|address| private || is_public(address.ip()))
        .collect();
    if allowed.is_empty() {
        return Err(std::io::Error::other(REFUSED));
    }
    Ok(allowed)
}

/// Whether an address is one of the public internet.
///
/// Source: IANA's registries of special-purpose addresses, for IPv4 and IPv6.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            let special = v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_broadcast()
                || v4.is_multicast()
                || v4.is_documentation()
                // This network, shared by carriers, protocols, benchmarks, reserved.
                || a == 0
                || (a == 100 && (64..128).contains(&b))
                || (a == 192 && b == 0 && c == 0)
                || (a == 198 && (b == 18 || b == 19))
                // The host of Azure's machines.
                || v4.octets() == [168, 63, 129, 16]
                || a >= 240;
            !special
        }
        IpAddr::V6(v6) => embedded(v6).map_or_else(|| is_given(v6), is_public),
    }
}

/// Only a part of the space is given to anybody; within it are protocols, Teredo
/// among them, and documents.
fn is_given(v6: Ipv6Addr) -> bool {
    let [first, second, ..] = v6.segments();
    let special = first == 0x2001 && (second < 0x200 || second == 0xdb8);
    first & 0xe000 == 0x2000 && !special && first & 0xfff0 != 0x3ff0
}

/// An IPv4 address within one of IPv6: mapped, or by NAT64 or 6to4.
fn embedded(v6: Ipv6Addr) -> Option<IpAddr> {
    let segments = v6.segments();
    let of = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        Some(IpAddr::from([a, b, c, d]))
    };
    match segments {
        [0, 0, 0, 0, 0, 0xffff | 0, high, low] if high != 0 || low > 1 => of(high, low),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => of(high, low),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_within_are_told_from_those_outside() {
        for (address, public) in [
            ("1.1.1.1", true),
            ("127.0.0.1", false),
            ("10.1.2.3", false),
            ("172.16.0.1", false),
            ("172.32.0.1", true),
            ("192.168.1.1", false),
            ("169.254.169.254", false),
            ("100.64.0.1", false),
            ("0.0.0.0", false),
            ("255.255.255.255", false),
            ("224.0.0.1", false),
            ("2606:4700::1111", true),
            ("::1", false),
            ("::", false),
            ("fd00::1", false),
            ("fe80::1", false),
            ("::ffff:10.0.0.1", false),
            ("::ffff:1.1.1.1", true),
            ("64:ff9b::a9fe:a9fe", false),
            ("2002:0a00:0001::", false),
            ("2001:db8::1", false),
            ("2001::1", false),
            ("3fff::1", false),
            ("168.63.129.16", false),
        ] {
            assert_eq!(is_public(address.parse().unwrap()), public, "{address}");
        }
    }

    #[test]
    fn an_address_is_refused_without_being_told() {
        for (text, private, good) in [
            ("https://hooks.example/T/secret", false, true),
            ("http://hooks.example/T/secret", false, false),
            ("http://hooks.example/T/secret", true, true),
            ("https://127.0.0.1/secret", false, false),
            ("https://127.0.0.1/secret", true, true),
            ("https://[::1]/secret", false, false),
            ("ftp://hooks.example/secret", true, false),
            ("/secret", true, false),
            ("https://", true, false),
        ] {
            let given = url(text, private);
            assert_eq!(given.is_ok(), good, "{text}");
            assert!(
                given.err().is_none_or(|why| !why.contains("secret")),
                "{text}"
            );
        }
    }
}
