//! What a client says of itself under RDP's own security: MCS Connect-Initial with the GCC conference request inside
//! (MS-RDPBCGR §2.2.1.3). TLS hides it.

use serde::{Deserialize, Serialize};

use crate::protocol::bytes::Bytes;

/// Marks the client's data within the conference request (T.124, MS-RDPBCGR §4.1.3).
const KEY: &[u8] = b"Duca";

/// The block of core data.
const CLIENT_CORE: u16 = 0xc001;

/// Bytes of the client's name: 15 characters and their end.
const NAME: usize = 32;

/// Facts of the core data.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
    /// Its computer's name; hostile until escaped.
    pub name: String,
    /// Its build number.
    pub build: u32,
    /// Its keyboard layout, as Windows numbers them: the language in the lower 16 bits.
    pub keyboard_layout: u32,
    /// Width and height of its desktop in pixels.
    pub size: (u16, u16),
}

impl Client {
    /// Looks for the core data in a Connect-Initial.
    pub(super) fn find(message: &[u8]) -> Option<Self> {
        let at = message.windows(KEY.len()).position(|window| window == KEY)?;
        let mut rest = Bytes(message.get(at + KEY.len()..)?);
        // A length of one or two bytes (PER).
        if rest.u8()? & 0x80 != 0 {
            rest.u8()?;
        }
        loop {
            let kind = rest.u16_le()?;
            let len = usize::from(rest.u16_le()?);
            let block = rest.take(len.checked_sub(4)?)?;
            if kind == CLIENT_CORE {
                return Self::parse(Bytes(block));
            }
        }
    }

    fn parse(mut core: Bytes<'_>) -> Option<Self> {
        core.u32_le()?; // version
        let size = (core.u16_le()?, core.u16_le()?);
        core.u32_le()?; // colour depth, access sequence
        let keyboard_layout = core.u32_le()?;
        let build = core.u32_le()?;
        let name = core.take(NAME)?;
        let units: Vec<u16> = name
            .chunks_exact(2)
            .filter_map(|pair| Some(u16::from_le_bytes(*pair.first_chunk()?)))
            .take_while(|unit| *unit != 0)
            .collect();
        Some(Self { name: String::from_utf16_lossy(&units), build, keyboard_layout, size })
    }
}
