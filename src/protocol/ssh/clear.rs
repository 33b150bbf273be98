//! Packets in clear (RFC 4253 §6).

/// Longest packet that is read in clear (RFC 4253 §6.1: 35,000 bytes must be accepted).
pub(super) const MAX_PACKET: u32 = 35_000;

/// A packet in clear (RFC 4253 §6).
pub(super) enum ClearPacket<'a> {
    /// More bytes are needed.
    Short,
    /// Lengths that cannot be.
    Broken,
    /// A payload, and what follows the packet.
    Whole(&'a [u8], &'a [u8]),
}

pub(super) fn clear_packet(bytes: &[u8]) -> ClearPacket<'_> {
    let Some((length, rest)) = bytes.split_first_chunk::<4>() else { return ClearPacket::Short };
    let length = u32::from_be_bytes(*length);
    if !(12..=MAX_PACKET).contains(&length) || !(length + 4).is_multiple_of(8) {
        return ClearPacket::Broken;
    }
    let Some((packet, rest)) = rest.split_at_checked(length as usize) else { return ClearPacket::Short };
    let Some((&padding, body)) = packet.split_first() else { return ClearPacket::Broken };
    match body.len().checked_sub(usize::from(padding)).filter(|&payload| payload > 0).and_then(|payload| body.get(..payload)) {
        Some(payload) => ClearPacket::Whole(payload, rest),
        None => ClearPacket::Broken,
    }
}
