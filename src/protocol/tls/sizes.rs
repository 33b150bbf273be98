//! How much longer a record is than what it carries.
//!
//! | suite | record length in bytes |
//! |---|---|
//! | TLS 1.3 | 5 + content + 1 (its kind) + tag |
//! | TLS 1.2, AES-GCM or CCM | 5 + 8 (nonce) + content + tag |
//! | TLS 1.2, ChaCha20-Poly1305 | 5 + content + 16 |
//! | CBC, TLS 1.1 and later | 5 + block (IV) + blocks of (content + MAC + 1), or blocks of (content + 1) + MAC with RFC 7366 |
//! | CBC, TLS 1.0 | 5 + blocks of (content + MAC + 1) |
//! | RC4 | 5 + content + MAC |

const TLS_1_0: u16 = 0x0301;
const TLS_1_3: u16 = 0x0304;

/// Length of a record's content in bytes, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Content {
    /// At least.
    pub least: u32,
    /// At most. Equal to `least` where the suite shows the length.
    pub most: u32,
}

impl Content {
    /// The length, where it is known exactly.
    #[must_use]
    pub const fn exact(self) -> Option<u32> {
        if self.least == self.most { Some(self.least) } else { None }
    }

    /// Whether it can be this length.
    #[must_use]
    pub const fn fits(self, len: u32) -> bool {
        self.least <= len && len <= self.most
    }
}

/// How a suite changes lengths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sizes {
    /// By so many bytes.
    Fixed(u32),
    /// Padded to whole blocks.
    Blocks {
        /// Bytes of a block.
        block: u32,
        /// Bytes outside the blocks.
        outside: u32,
        /// Bytes of the MAC inside them.
        mac: u32,
    },
}

impl Sizes {
    /// Of the suite with this number (IANA's registry), `None` where it is not known.
    pub(super) fn of(suite: u16, version: u16, encrypt_then_mac: bool) -> Option<Self> {
        const HEADER: u32 = 5;
        if version >= TLS_1_3 {
            let tag = if suite == 0x1305 { 8 } else { 16 };
            return matches!(suite, 0x1301..=0x1305).then_some(Self::Fixed(HEADER + 1 + tag));
        }
        match suite {
            0x009c..=0x00ad | 0xc02b..=0xc032 | 0xc09c..=0xc09f | 0xc0ac | 0xc0ad => return Some(Self::Fixed(HEADER + 8 + 16)),
            0xc0a0..=0xc0a3 | 0xc0ae | 0xc0af => return Some(Self::Fixed(HEADER + 8 + 8)),
            0xcca8..=0xccae => return Some(Self::Fixed(HEADER + 16)),
            0x0004 => return Some(Self::Fixed(HEADER + 16)),
            0x0005 | 0xc007 | 0xc011 => return Some(Self::Fixed(HEADER + 20)),
            _ => {}
        }
        let (block, mac) = match suite {
            0x000a | 0x000d | 0x0010 | 0x0013 | 0x0016 | 0x001b | 0xc008 | 0xc012 | 0xc017 => (8, 20),
            0x002f..=0x003a | 0xc009 | 0xc00a | 0xc013 | 0xc014 | 0xc018 | 0xc019 => (16, 20),
            0x003c..=0x0040 | 0x0067..=0x006d | 0xc023 | 0xc027 => (16, 32),
            0xc024 | 0xc028 => (16, 48),
            _ => return None,
        };
        let iv = if version > TLS_1_0 { block } else { 0 };
        Some(match encrypt_then_mac {
            true => Self::Blocks { block, outside: HEADER + iv + mac, mac: 0 },
            false => Self::Blocks { block, outside: HEADER + iv, mac },
        })
    }

    /// What a record of this length carries; `None` where no record of the suite has this length.
    pub(super) fn content(self, record_len: u32) -> Option<Content> {
        match self {
            Self::Fixed(overhead) => {
                let len = record_len.checked_sub(overhead)?;
                Some(Content { least: len, most: len })
            }
            Self::Blocks { block, outside, mac } => {
                let blocks = record_len.checked_sub(outside)?;
                // One byte of padding length at least; more than a block of padding is allowed, and not done.
                let most = blocks.checked_sub(mac + 1)?;
                (blocks.checked_rem(block) == Some(0)).then(|| Content { least: most.saturating_sub(block - 1), most })
            }
        }
    }
}
