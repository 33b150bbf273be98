//! Generic routing encapsulation (RFC 2784), with key and sequence number (RFC 2890), PPTP's kind of it (RFC 2637), and mirrored
//! frames in it (ERSPAN, draft-foschiano-erspan-03).

use etherparse::{EtherType, ip_number};

use super::{
    Layer, Undecoded, WrapperKind,
    header::{Header, Inner, PPP, head, ppp, short},
};

/// Bytes of the header without its optional fields.
const BASE: usize = 4;

/// EtherTypes of ERSPAN's types I and II, and of type III.
const ERSPAN: EtherType = EtherType(0x88be);
const ERSPAN_III: EtherType = EtherType(0x22eb);

/// A GRE header, and ERSPAN's behind it.
pub(super) fn gre(bytes: &[u8]) -> Result<Header, Undecoded> {
    let Fields { key, kind, len, is_counted } = fields(bytes)?;
    let rest = bytes.get(len..).unwrap_or_default();
    let mirrored = |id, header| Ok(Header::new(WrapperKind::Erspan, id, len + header, Inner::Ethernet));
    match kind {
        // Type I has no header of its own, and does not count its frames (§4.1).
        ERSPAN if !is_counted => mirrored(None, 0),
        ERSPAN => mirrored(Some(session(head::<8>(rest, WrapperKind::Erspan)?)), 8),
        ERSPAN_III => {
            let header = head::<12>(rest, WrapperKind::Erspan)?;
            let &[.., flags1, flags0] = header;
            let frame_type = flags1 >> 2 & 0x1f;
            let has_subheader = flags0 & 1 == 1;
            let size = if has_subheader { 20 } else { 12 };
            if rest.len() < size {
                return Err(short(Layer::Wrapper(WrapperKind::Erspan), rest, size));
            }
            match frame_type {
                0 => mirrored(Some(session(header)), size),
                2 => Ok(Header::new(WrapperKind::Erspan, Some(session(header)), len + size, Inner::Ip)),
                _ => Err(Undecoded::NotIp(ERSPAN_III.0)),
            }
        }
        PPP => {
            let inner = ppp(rest)?;
            Ok(Header::new(WrapperKind::Gre, key, len + inner.len, inner.inner))
        }
        kind => Ok(Header::new(WrapperKind::Gre, key, len, Inner::of(kind))),
    }
}

/// The last ten bits of the second half word (§4.2, §4.3).
fn session(header: &[u8]) -> u32 {
    match header {
        &[_, _, a, b, ..] => u32::from(u16::from_be_bytes([a, b]) & 0x03ff),
        _ => 0,
    }
}

struct Fields {
    key: Option<u32>,
    kind: EtherType,
    len: usize,
    /// Whether there is a sequence number.
    is_counted: bool,
}

fn fields(bytes: &[u8]) -> Result<Fields, Undecoded> {
    let cut = |need: usize| short(Layer::Wrapper(WrapperKind::Gre), bytes, need);
    let Some(&[flags, version, kind0, kind1]) = bytes.first_chunk::<BASE>() else { return Err(cut(BASE)) };
    let kind = EtherType(u16::from_be_bytes([kind0, kind1]));
    let [checksum, routing, key, sequence] = [0x80, 0x40, 0x20, 0x10].map(|flag| flags & flag != 0);
    if routing {
        return Err(Undecoded::Malformed(Layer::Wrapper(WrapperKind::Gre))); // RFC 1701's source routes: to be discarded (RFC 2784 §2.3)
    }
    match version & 7 {
        0 => {
            let key_at = BASE + 4 * usize::from(checksum);
            let len = key_at + 4 * (usize::from(key) + usize::from(sequence));
            let optional = bytes.get(key_at..len).ok_or_else(|| cut(len))?;
            let key = optional.first_chunk().filter(|_| key).map(|key| u32::from_be_bytes(*key));
            Ok(Fields { key, kind, len, is_counted: sequence })
        }
        // Its key is a length and a call, which has another number in each direction (RFC 2637 §4.1). Packets without a payload
        // acknowledge others.
        1 if kind == PPP && key && sequence => {
            let len = BASE + 4 + 4 * (1 + usize::from(version & 0x80 != 0));
            if bytes.len() < len {
                return Err(cut(len));
            }
            Ok(Fields { key: None, kind, len, is_counted: true })
        }
        _ => Err(Undecoded::Protocol(ip_number::GRE.0)),
    }
}

#[cfg(test)]
#[path = "gre_tests.rs"]
mod tests;
