//! The algorithm offer of one side (SSH_MSG_KEXINIT, RFC 4253 §7.1), what two offers agree on, and HASSH.

use md5::{Digest, Md5};

/// Message number of SSH_MSG_KEXINIT.
pub(super) const KEXINIT: u8 = 20;
/// Message number of SSH_MSG_NEWKEYS.
pub(super) const NEWKEYS: u8 = 21;

/// One side's offer: comma-separated name-lists, in the order of preference.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct KexInit {
    pub(super) kex: String,
    pub(super) host_keys: String,
    pub(super) ciphers: Directions,
    pub(super) macs: Directions,
    pub(super) compressions: Directions,
}

/// A list for each direction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Directions {
    pub(super) client_to_server: String,
    pub(super) server_to_client: String,
}

impl KexInit {
    /// Reads the payload of a KEXINIT message, its type byte included; `None` where a list is cut, is longer than the
    /// message, or holds what RFC 4251 §6 does not allow in a name.
    pub(super) fn parse(payload: &[u8]) -> Option<Self> {
        let (_cookie, mut rest) = payload.strip_prefix(&[KEXINIT])?.split_at_checked(16)?;
        let mut list = || {
            let (length, tail) = rest.split_first_chunk::<4>()?;
            let (bytes, tail) = tail.split_at_checked(u32::from_be_bytes(*length) as usize)?;
            rest = tail;
            String::from_utf8(bytes.to_vec()).ok().filter(|_| bytes.iter().all(u8::is_ascii_graphic))
        };
        let kex = list()?;
        let host_keys = list()?;
        let mut directions = || Some(Directions { client_to_server: list()?, server_to_client: list()? });
        Some(Self { kex, host_keys, ciphers: directions()?, macs: directions()?, compressions: directions()? })
    }

    /// HASSH of this offer as a client's: MD5 of `kex;ciphers;macs;compressions`, client to server (Salesforce, 2018).
    pub(super) fn hassh(&self) -> String {
        md5_hex(&[&self.kex, &self.ciphers.client_to_server, &self.macs.client_to_server, &self.compressions.client_to_server])
    }

    /// HASSH of this offer as a server's: the same of the lists server to client.
    pub(super) fn hassh_server(&self) -> String {
        md5_hex(&[&self.kex, &self.ciphers.server_to_client, &self.macs.server_to_client, &self.compressions.server_to_client])
    }

    /// Whether this offer is a client's, where its pseudo-algorithms say so (`ext-info-c` of RFC 8308 §2.1,
    /// `kex-strict-c-v00@openssh.com`); `None` where they do not.
    pub(super) fn says_client(&self) -> Option<bool> {
        self.kex.split(',').find_map(|name| match name {
            "ext-info-c" | "kex-strict-c-v00@openssh.com" => Some(true),
            "ext-info-s" | "kex-strict-s-v00@openssh.com" => Some(false),
            _ => None,
        })
    }
}

/// The first of the client's names that the server has too (RFC 4253 §7.1).
pub(super) fn negotiate(client: &str, server: &str) -> Option<String> {
    client.split(',').find(|name| !name.is_empty() && server.split(',').any(|other| other == *name)).map(str::to_owned)
}

fn md5_hex(lists: &[&str; 4]) -> String {
    let mut md5 = Md5::new();
    for (nth, list) in lists.iter().enumerate() {
        md5.update(if nth > 0 { ";" } else { "" });
        md5.update(list);
    }
    let digit = |half: u8| char::from_digit(u32::from(half), 16).unwrap_or_default();
    md5.finalize().iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A KEXINIT payload with these ten lists.
    pub(in crate::protocol::ssh) fn payload(lists: [&str; 10]) -> Vec<u8> {
        let mut out = vec![KEXINIT];
        out.extend([7; 16]);
        for list in lists {
            out.extend((list.len() as u32).to_be_bytes());
            out.extend(list.as_bytes());
        }
        out.extend([0; 5]);
        out
    }

    const LISTS: [&str; 10] = ["kexes,ext-info-c", "keys", "c1,c2", "c3", "m1", "m2,m3", "none", "zlib", "", ""];

    #[test]
    fn every_list_lands_in_its_place() {
        let offer = KexInit::parse(&payload(LISTS)).unwrap();
        assert_eq!((offer.kex.as_str(), offer.host_keys.as_str()), ("kexes,ext-info-c", "keys"));
        assert_eq!((offer.ciphers.client_to_server.as_str(), offer.ciphers.server_to_client.as_str()), ("c1,c2", "c3"));
        assert_eq!((offer.macs.client_to_server.as_str(), offer.macs.server_to_client.as_str()), ("m1", "m2,m3"));
        assert_eq!(offer.compressions.server_to_client, "zlib");
        assert_eq!(offer.says_client(), Some(true));
    }

    #[test]
    fn every_cut_is_refused() {
        let whole = payload(LISTS);
        // The last two lists (languages), the guess flag and the reserved word are not read.
        let read = whole.len() - 13;
        for cut in 0..read {
            assert_eq!(KexInit::parse(&whole[..cut]), None, "{cut}");
        }
        assert!(KexInit::parse(&whole[..read]).is_some());
    }

    #[test]
    fn hostile_names_are_refused() {
        assert_eq!(KexInit::parse(&payload(["a\nb", "k", "c", "c", "m", "m", "n", "n", "", ""])), None);
        let mut lying = payload(LISTS);
        lying[17..21].copy_from_slice(&u32::MAX.to_be_bytes());
        assert_eq!(KexInit::parse(&lying), None);
    }

    #[test]
    fn the_clients_order_wins() {
        assert_eq!(negotiate("a,b,c", "c,b").as_deref(), Some("b"));
        assert_eq!(negotiate("a", "b"), None);
        assert_eq!(negotiate("", ""), None);
    }

    /// md5("k;c;m;n") by coreutils: `printf 'k;c;m;n' | md5sum`.
    #[test]
    fn hassh_is_the_md5_of_four_lists() {
        let offer = KexInit::parse(&payload(["k", "", "c", "x", "m", "y", "n", "z", "", ""])).unwrap();
        assert_eq!(offer.hassh(), HASSH);
        assert_ne!(offer.hassh_server(), HASSH);
    }

    const HASSH: &str = "b88f260a541fdb298d4609125162d5f9";
}
