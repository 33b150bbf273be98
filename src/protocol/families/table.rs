//! The table of families, as `families.toml` has it.

use std::{collections::HashMap, sync::LazyLock};

use serde::Deserialize;

use super::datagram::{DatagramMark, DatagramMarks, Pattern, Turn};
use crate::flow::{PerSide, Side};

/// Longest name of a host (RFC 1035 §2.3.4), a little more than is allowed.
const LONGEST_NAME: usize = 255;

const BOTH: &[Side] = &[Side::Client, Side::Server];

/// Compiled in; a test holds it against what is said here.
static TEXT: &str = include_str!("families.toml");

pub(super) static TABLE: LazyLock<Table> = LazyLock::new(|| Table::read(TEXT).unwrap_or_default());

/// How sure a mark makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Confidence {
    /// Nothing else is known to say so.
    High,
    /// A host of the service itself.
    Medium,
    /// A name that serves web pages too, or that anybody may give to a machine.
    Low,
}

/// What a family is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Somebody sees and uses a machine from elsewhere.
    RemoteControl,
    /// The protocol of a desktop.
    Desktop,
    /// A device at a machine's keyboard and screen.
    IpKvm,
    /// It carries other traffic, and hides where that comes from.
    Vpn,
}

/// Where a fact comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Looked up in its source.
    Read,
    /// From notes about the source.
    SecondHand,
    /// Believed.
    Unverified,
}

/// What gives a family away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Name in records, such as `anydesk`.
    pub protocol: String,
    /// Name of the product.
    pub name: String,
    /// What it is for.
    pub kind: Kind,
    /// Which thing it is a mark of, such as `server_name`.
    pub feature: &'static str,
    /// What that looks like.
    pub value: String,
    /// How sure it makes.
    pub confidence: Confidence,
    /// Where it is from.
    pub source: String,
    /// How that is known.
    pub status: Status,
}

/// First bytes of a side; `None` is any byte.
#[derive(Debug)]
struct Prefix {
    sides: &'static [Side],
    bytes: Vec<Option<u8>>,
    mark: Mark,
}

/// Kinds of texts in DER: UTF-8, printable, Teletex and ASCII.
const TEXTS: [u8; 4] = [0x0c, 0x13, 0x14, 0x16];

/// Every mark, by what it is of.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// By their last two labels.
    names: HashMap<Vec<u8>, Vec<Mark>>,
    alpn: Vec<Mark>,
    certificates: Vec<Mark>,
    prefixes: Vec<Prefix>,
    /// Which bytes any of them begins with: most flows are let go of by their first.
    first: PerSide<Vec<bool>>,
    datagrams: DatagramMarks,
    /// Names of IP-KVMs, once more: few, and every message of DNS is held against them.
    devices: Vec<Mark>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    family: Vec<RawFamily>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFamily {
    protocol: String,
    name: String,
    kind: Kind,
    mark: Vec<RawMark>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawMark {
    server_name: Option<String>,
    alpn: Option<String>,
    certificate: Option<String>,
    client_bytes: Option<String>,
    server_bytes: Option<String>,
    either_bytes: Option<String>,
    datagram: Option<String>,
    length: Option<u32>,
    answer: Option<String>,
    answer_length: Option<u32>,
    confirm: Option<String>,
    middle: Option<String>,
    either_datagram: Option<String>,
    confidence: Confidence,
    source: String,
    status: Status,
    #[expect(dead_code, reason = "for whoever keeps the file; that it is a date is checked")]
    checked: toml::value::Datetime,
}

impl Table {
    /// Reads the file; the error names what is wrong with it.
    fn read(text: &str) -> Result<Self, String> {
        let raw: RawFile = toml::from_str(text).map_err(|error| error.to_string())?;
        let mut table = Self::default();
        for family in raw.family {
            for mark in &family.mark {
                table.add(&family, mark)?;
            }
        }
        Ok(table)
    }

    fn add(&mut self, family: &RawFamily, raw: &RawMark) -> Result<(), String> {
        let features = [
            ("server_name", &raw.server_name),
            ("alpn", &raw.alpn),
            ("certificate", &raw.certificate),
            ("client_bytes", &raw.client_bytes),
            ("server_bytes", &raw.server_bytes),
            ("either_bytes", &raw.either_bytes),
            ("datagram", &raw.datagram),
            ("either_datagram", &raw.either_datagram),
        ];
        let mut features = features.into_iter().filter_map(|(feature, value)| Some((feature, value.clone()?)));
        let (Some((feature, value)), None) = (features.next(), features.next()) else {
            return Err(format!("{}: a mark is of one thing", family.protocol));
        };
        let mark = Mark {
            protocol: family.protocol.clone(),
            name: family.name.clone(),
            kind: family.kind,
            feature,
            value,
            confidence: raw.confidence,
            source: raw.source.clone(),
            status: raw.status,
        };
        match feature {
            "server_name" => {
                if mark.kind == Kind::IpKvm {
                    self.devices.push(mark.clone());
                }
                self.names.entry(ending(mark.value.as_bytes()).to_vec()).or_default().push(mark);
            }
            "alpn" => self.alpn.push(mark),
            "certificate" => self.certificates.push(mark),
            "datagram" | "either_datagram" => self.datagrams.add(datagram_mark(mark, raw)?),
            _ => {
                let bytes = fixed_bytes(&mark.value).ok_or_else(|| format!("{}: not bytes: {}", mark.protocol, mark.value))?;
                let sides = match feature {
                    "client_bytes" => &[Side::Client][..],
                    "server_bytes" => &[Side::Server],
                    _ => BOTH,
                };
                let prefix = Prefix { sides, bytes, mark };
                for side in [Side::Client, Side::Server] {
                    let first = self.first.get_mut(side);
                    first.resize(256, false);
                    first.iter_mut().zip(0..=u8::MAX).for_each(|(any, byte)| *any |= prefix.may_begin(side, &[byte]));
                }
                self.prefixes.push(prefix);
            }
        }
        Ok(())
    }

    /// All of them.
    fn marks(&self) -> impl Iterator<Item = &Mark> {
        let tls = self.names.values().flatten().chain(&self.alpn).chain(&self.certificates);
        let streams = tls.chain(self.prefixes.iter().map(|prefix| &prefix.mark));
        streams.chain(self.datagrams.marks().map(|datagram| &datagram.mark))
    }

    /// The mark that a name is, the surest and longest first where there are several.
    pub(super) fn server_name(&self, name: &[u8]) -> Option<&Mark> {
        if name.len() > LONGEST_NAME {
            return None;
        }
        let name = name.to_ascii_lowercase();
        let marks = self.names.get(ending(&name))?;
        let matching = marks.iter().filter(|mark| matches(mark.value.as_bytes(), &name));
        matching.min_by_key(|mark| (mark.confidence as u8, std::cmp::Reverse(mark.value.len())))
    }

    /// The mark of a device that a name in DNS is.
    pub(super) fn device_name(&self, name: &[u8]) -> Option<&Mark> {
        self.devices.iter().find(|mark| mark.value.as_bytes().eq_ignore_ascii_case(name))
    }

    /// The mark that a datagram shows, and its turn.
    pub(super) fn datagram(&self, bytes: &[u8], len: u32) -> Option<(&DatagramMark, Turn)> {
        self.datagrams.find(bytes, len)
    }

    /// The mark that an application protocol is.
    pub(super) fn alpn(&self, protocol: &[u8]) -> Option<&Mark> {
        self.alpn.iter().find(|mark| protocol.starts_with(mark.value.as_bytes()))
    }

    /// The mark that a server's certificates show: a text in any of them, whole, as DER writes texts (X.690 §8.23).
    pub(super) fn certificate(&self, message: &[u8]) -> Option<&Mark> {
        self.certificates.iter().find(|mark| {
            let text = mark.value.as_bytes();
            message.windows(text.len() + 2).any(|window| match window {
                [kind, len, rest @ ..] => TEXTS.contains(kind) && usize::from(*len) == text.len() && rest == text,
                _ => false,
            })
        })
    }

    /// The mark that a side begins with.
    pub(super) fn first_bytes(&self, side: Side, bytes: &[u8]) -> Option<&Mark> {
        let fits = |prefix: &&Prefix| bytes.len() >= prefix.bytes.len() && prefix.may_begin(side, bytes);
        self.prefixes.iter().find(fits).map(|prefix| &prefix.mark)
    }

    /// Whether a side can go on to be one.
    pub(super) fn may_begin(&self, side: Side, bytes: &[u8]) -> bool {
        let first = bytes.first().is_none_or(|&first| self.first.get(side).get(usize::from(first)) == Some(&true));
        first && self.prefixes.iter().any(|prefix| prefix.may_begin(side, bytes))
    }
}

/// A mark as others write it: by what it is of. It is looked up again in the table of whoever reads it.
pub(super) mod by_name {
    use std::borrow::Cow;

    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

    use super::{Mark, TABLE};

    pub(in super::super) fn serialize<S: Serializer>(mark: &Mark, serializer: S) -> Result<S::Ok, S::Error> {
        [mark.protocol.as_str(), mark.feature, mark.value.as_str()].serialize(serializer)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<&'static Mark, D::Error> {
        let [protocol, feature, value] = <[Cow<'de, str>; 3]>::deserialize(deserializer)?;
        let is_it =
            |mark: &&Mark| [mark.protocol.as_str(), mark.feature, mark.value.as_str()] == [&*protocol, &*feature, &*value];
        TABLE.marks().find(is_it).ok_or_else(|| D::Error::custom("a mark of a family that is not in the table of this version"))
    }
}

impl Prefix {
    fn may_begin(&self, side: Side, bytes: &[u8]) -> bool {
        let same = |(wanted, byte): (&Option<u8>, &u8)| wanted.is_none_or(|wanted| wanted == *byte);
        self.sides.contains(&side) && self.bytes.iter().zip(bytes).all(same)
    }
}

/// The last two labels of a name, or all of it.
fn ending(name: &[u8]) -> &[u8] {
    let mut dots = name.iter().enumerate().rev().filter(|(_, byte)| **byte == b'.').map(|(at, _)| at);
    let begin = dots.nth(1).map_or(0, |dot| dot + 1);
    name.get(begin..).unwrap_or_default()
}

/// Whether a name is of a pattern; see the file.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    if let Some(parent) = pattern.strip_prefix(b"*") {
        return name.len() > parent.len() && name.ends_with(parent);
    }
    let (mut wanted, mut labels) = (pattern.split(|byte| *byte == b'.'), name.split(|byte| *byte == b'.'));
    loop {
        match (wanted.next(), labels.next()) {
            (None, None) => return true,
            (Some(wanted), Some(label)) => match wanted.strip_suffix(b"*") {
                Some(beginning) if label.starts_with(beginning) => {}
                None if wanted == label => {}
                _ => return false,
            },
            _ => return false,
        }
    }
}

/// What is said of datagrams.
fn datagram_mark(mark: Mark, raw: &RawMark) -> Result<DatagramMark, String> {
    let bad = |text: &str| format!("{}: not bytes, or too few: {text}", mark.protocol);
    let pattern = |text: &str, len| Pattern::new(text, len).ok_or_else(|| bad(text));
    let mut patterns = Vec::new();
    let turns = [
        (Turn::Question, &raw.datagram, raw.length),
        (Turn::Answer, &raw.answer, raw.answer_length),
        (Turn::Middle, &raw.middle, None),
        (Turn::Either, &raw.either_datagram, None),
    ];
    for (turn, text, len) in turns {
        if let Some(text) = text {
            patterns.push((turn, pattern(text, len)?));
        }
    }
    let confirm = raw.confirm.as_deref().map(|text| pattern(text, None)).transpose()?;
    Ok(DatagramMark { mark, patterns, confirm })
}

/// Bytes in hexadecimal, `..` for any.
pub(super) fn fixed_bytes(text: &str) -> Option<Vec<Option<u8>>> {
    text.split(' ').map(byte).collect()
}

/// A byte in hexadecimal, `Some(None)` for any.
fn byte(text: &str) -> Option<Option<u8>> {
    if text == ".." {
        return Some(None);
    }
    (text.len() == 2).then(|| u8::from_str_radix(text, 16).ok()).flatten().map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What must not stand in the file: a mark that most machines show.
    #[test]
    fn the_file_is_read_and_tells_its_sources() {
        let table = Table::read(TEXT).unwrap();
        assert!(table.marks().count() >= 60);
        for mark in table.marks() {
            assert!(
                mark.source.len() > 8
                    && mark.protocol.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
            );
            assert!(mark.status != Status::Unverified || mark.confidence != Confidence::High, "{mark:?}");
            assert!(mark.feature == "certificate" || mark.value == mark.value.to_ascii_lowercase(), "{}", mark.value);
        }
        assert!(table.devices.iter().all(|mark| !mark.value.contains('*')), "DNS compares whole names");
        for prefix in &table.prefixes {
            assert!(prefix.bytes.iter().flatten().count() >= 4, "{:?} is too short to name a session by", prefix.mark);
        }
        for broken in [
            "[[family]]",
            "[[family]]\nprotocol=\"x\"\nname=\"x\"\nkind=\"vpn\"\n[[family.mark]]\nconfidence=\"low\"\nsource=\"s\"\nstatus=\"read\"\nchecked=2026-01-01",
        ] {
            assert!(Table::read(broken).is_err());
        }
    }

    /// What is written of a mark leads back to it.
    #[test]
    fn marks_are_known_by_what_they_are_of() {
        #[derive(Debug, PartialEq, serde::Serialize, Deserialize)]
        struct Marked(#[serde(with = "by_name")] &'static Mark);
        for mark in TABLE.marks() {
            let text = serde_json::to_string(&Marked(mark)).unwrap();
            assert_eq!(serde_json::from_str::<Marked>(&text).unwrap(), Marked(mark), "{text}");
        }
    }

    #[test]
    fn names_are_matched_by_labels() {
        let of = |name: &[u8]| TABLE.server_name(name).map(|mark| (mark.protocol.as_str(), mark.confidence));
        assert_eq!(of(b"relay-0a1b2c3d.net.anydesk.com"), Some(("anydesk", Confidence::Medium)));
        assert_eq!(of(b"Boot.Net.AnyDesk.Com"), Some(("anydesk", Confidence::Medium)));
        assert_eq!(of(b"router15.teamviewer.com"), Some(("teamviewer", Confidence::Medium)));
        assert_eq!(of(b"derp10b.tailscale.com"), Some(("tailscale", Confidence::Medium)));
        assert_eq!(of(b"pikvm"), Some(("pikvm", Confidence::Low)));
        assert_eq!(of(b"node7.dwservice.net"), Some(("dwservice", Confidence::Medium)), "the surer of two");
        for other in [
            &b"anydesk.com"[..],
            b"www.teamviewer.com",
            b"net.anydesk.com.example.org",
            b"evilnet.anydesk.com",
            b"",
            b".",
            b"router15.x.teamviewer.com",
            &[b'a'; 5_000],
        ] {
            assert_eq!(of(other), None, "{:?}", String::from_utf8_lossy(other));
        }
    }

    #[test]
    fn first_bytes_are_of_their_side() {
        let of = |side, bytes: &[u8]| TABLE.first_bytes(side, bytes).map(|mark| mark.protocol.as_str());
        assert_eq!(of(Side::Client, &[1, 0, 0, 0, 1, 9, 9, 9, 8, 8]), Some("radmin"));
        assert_eq!(of(Side::Server, b"NXSH-6.5"), Some("nomachine"));
        assert_eq!(of(Side::Client, b"\0\x0e\x38abcdefgh\0\0\0\0\0"), Some("openvpn"));
        assert_eq!(of(Side::Client, b"GET / HTTP/1.1"), None);
    }
}
