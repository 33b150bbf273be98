//! Names of security types (RFC 6143 §8.1, IANA's registry, the community's rfbproto).

/// The name of a security type; `None` where none is known.
#[must_use]
pub const fn type_name(code: u8) -> Option<&'static str> {
    Some(match code {
        0 => "invalid",
        NONE => "none",
        VNC => "vnc",
        RA2 => "ra2",
        RA2_NE => "ra2ne",
        TIGHT => "tight",
        17 => "ultra",
        TLS => "tls",
        VENCRYPT => "vencrypt",
        20 => "sasl",
        21 => "md5",
        22 => "xvp",
        23 => "secure_tunnel",
        24 => "integrated_ssh",
        ARD => "ard",
        31 => "apple_31",
        32 => "apple_32",
        33 => "apple_rsa_srp",
        34 => "apple_34",
        35 => "apple_kerberos",
        36 => "apple_srp",
        112 => "ultra_112",
        113 => "mslogon2",
        114 => "ultra_securevnc",
        RA2_256 => "ra2_256",
        RA2_NE_256 => "ra2ne_256",
        _ => return None,
    })
}

/// The name of a VeNCrypt subtype; `None` where none is known.
#[must_use]
pub const fn subtype_name(code: u32) -> Option<&'static str> {
    Some(match code {
        VENCRYPT_PLAIN => "plain",
        257 => "tlsnone",
        258 => "tlsvnc",
        259 => "tlsplain",
        260 => "x509none",
        261 => "x509vnc",
        262 => "x509plain",
        263 => "tlssasl",
        264 => "x509sasl",
        _ => return None,
    })
}

pub(super) const NONE: u8 = 1;
pub(super) const VNC: u8 = 2;
pub(super) const RA2: u8 = 5;
pub(super) const RA2_NE: u8 = 6;
pub(super) const TIGHT: u8 = 16;
pub(super) const TLS: u8 = 18;
pub(super) const VENCRYPT: u8 = 19;
pub(super) const ARD: u8 = 30;
pub(super) const RA2_256: u8 = 129;
pub(super) const RA2_NE_256: u8 = 130;

pub(super) const VENCRYPT_PLAIN: u32 = 256;

/// Whether a type is RSA-AES with one exchange.
pub(super) const fn is_ra2(code: u8) -> bool {
    matches!(code, RA2 | RA2_NE | RA2_256 | RA2_NE_256)
}

/// Whether hashes of RSA-AES are SHA-256's, and not SHA-1's.
pub(super) const fn is_sha256(code: u8) -> bool {
    matches!(code, RA2_256 | RA2_NE_256)
}

/// Whether RSA-AES ends with the credentials.
pub(super) const fn is_clear_after(code: u8) -> bool {
    matches!(code, RA2_NE | RA2_NE_256)
}

/// Whether a VeNCrypt subtype begins TLS.
pub(super) const fn begins_tls(subtype: u32) -> bool {
    matches!(subtype, 257..=264)
}
