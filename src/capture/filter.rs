//! Capture filters in the language of tcpdump: compiled by libpcap, run here.
//!
//! libpcap's own way to run a program on a frame of a file (through the `pcap` crate) takes the captured length for the
//! length on the wire, so that `greater 100` is wrong on frames that a snaplen cut. The machine is small (McCanne and
//! Jacobson, "The BSD Packet Filter", 1993), so it stands here, where both lengths are known.

use std::collections::BTreeMap;

use pcap::{Capture, Linktype};

use crate::wire::{FrameMeta, LinkType};

/// Words of scratch memory (`BPF_MEMWORDS`).
const MEMORY: usize = 16;

/// A filter for frames of any link type; compiled for each when its first frame comes.
#[derive(Clone, Debug)]
pub struct Filter {
    expression: String,
    programs: BTreeMap<u16, Option<Program>>,
}

/// A filter expression that libpcap does not take.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{expression}\": {message}")]
pub struct FilterError {
    expression: String,
    message: String,
}

impl Filter {
    /// Checks an expression, as for Ethernet.
    ///
    /// # Errors
    /// [`FilterError`] with libpcap's own words.
    pub fn new(expression: &str) -> Result<Self, FilterError> {
        let mut filter = Self { expression: expression.to_owned(), programs: BTreeMap::new() };
        let ethernet = dlt(LinkType::Ethernet);
        match Program::compile(expression, ethernet) {
            Ok(program) => filter.programs.insert(ethernet, Some(program)),
            Err(message) => return Err(FilterError { expression: expression.to_owned(), message }),
        };
        Ok(filter)
    }

    /// Whether a frame passes. Frames of a link type for which the expression has no meaning (`ether host` on raw IP) do not.
    pub fn passes(&mut self, meta: &FrameMeta, bytes: &[u8]) -> bool {
        let number = dlt(meta.link);
        let expression = &self.expression;
        let program = self.programs.entry(number).or_insert_with(|| Program::compile(expression, number).ok());
        program.as_ref().is_some_and(|program| program.run(bytes, meta.original_len) != 0)
    }
}

/// The number by which libpcap knows a link type on Linux: that of the registry, but for raw IP (DLT_RAW).
const fn dlt(link: LinkType) -> u16 {
    match link {
        LinkType::Null => 0,
        LinkType::Ethernet => 1,
        LinkType::RawIp => 12,
        LinkType::Ppp => 9,
        LinkType::Pppoe => 51,
        LinkType::CiscoHdlc => 104,
        LinkType::Loop => 108,
        LinkType::LinuxSll => 113,
        LinkType::LinuxSll2 => 276,
        LinkType::Unknown(number) => number,
    }
}

/// A compiled filter.
#[derive(Clone, Debug)]
struct Program(Vec<Instruction>);

/// One instruction: operation, jump offsets, operand.
#[derive(Clone, Copy, Debug)]
struct Instruction {
    code: u16,
    if_true: u8,
    if_false: u8,
    k: u32,
}

impl Program {
    fn compile(expression: &str, link: u16) -> Result<Self, String> {
        let dead = Capture::dead(Linktype(i32::from(link))).map_err(|error| error.to_string())?;
        let compiled = dead.compile(expression, true).map_err(|error| error.to_string())?;
        // The crate shows an instruction's numbers only as text.
        let instructions: Option<Vec<_>> =
            compiled.get_instructions().iter().map(|instruction| Instruction::parse(&instruction.to_string())).collect();
        instructions.map(Self).ok_or_else(|| "libpcap gave a program that cannot be read".to_owned())
    }

    /// Runs the program; the result is the number of bytes to keep, 0 for none. Reading beyond the captured bytes ends it with 0,
    /// as in libpcap.
    fn run(&self, bytes: &[u8], wire_len: u32) -> u32 {
        let mut machine = Machine { a: 0, x: 0, memory: [0; MEMORY] };
        let mut at = 0usize;
        // Jumps only go forwards, so every instruction runs at most once.
        while let Some(instruction) = self.0.get(at) {
            match machine.step(instruction, bytes, wire_len) {
                Some(Next::Skip(by)) => at = at.saturating_add(1).saturating_add(by as usize),
                Some(Next::Return(value)) => return value,
                None => return 0,
            }
        }
        0
    }
}

impl Instruction {
    fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split_ascii_whitespace();
        Some(Self {
            code: numbers.next()?.parse().ok()?,
            if_true: numbers.next()?.parse().ok()?,
            if_false: numbers.next()?.parse().ok()?,
            k: numbers.next()?.parse().ok()?,
        })
    }
}

enum Next {
    Skip(u32),
    Return(u32),
}

struct Machine {
    a: u32,
    x: u32,
    memory: [u32; MEMORY],
}

impl Machine {
    /// One instruction; `None` where it reads what is not there or is none.
    fn step(&mut self, i: &Instruction, bytes: &[u8], wire_len: u32) -> Option<Next> {
        match i.code & 0x07 {
            0x00 | 0x01 => self.load(i, bytes, wire_len)?,
            0x02 => *self.memory.get_mut(i.k as usize)? = self.a,
            0x03 => *self.memory.get_mut(i.k as usize)? = self.x,
            0x04 => self.a = self.compute(i)?,
            0x05 => return self.jump(i).map(Next::Skip),
            0x06 => return Some(Next::Return(if i.code & 0x18 == 0x10 { self.a } else { i.k })),
            // 0x07: TAX and TXA
            _ if i.code & 0xf8 == 0x80 => self.a = self.x,
            _ => self.x = self.a,
        }
        Some(Next::Skip(0))
    }

    /// LD and LDX in all addressing modes.
    fn load(&mut self, i: &Instruction, bytes: &[u8], wire_len: u32) -> Option<()> {
        let at = |offset: u32, size: usize| bytes.get(offset as usize..(offset as usize).checked_add(size)?);
        let number = |part: &[u8]| part.iter().fold(0u32, |number, byte| number << 8 | u32::from(*byte));
        let size = match i.code & 0x18 {
            0x00 => 4,
            0x08 => 2,
            _ => 1,
        };
        let value = match i.code & 0xe0 {
            0x00 => i.k,                                                         // IMM
            0x20 => number(at(i.k, size)?),                                      // ABS
            0x40 => number(at(self.x.checked_add(i.k)?, size)?),                 // IND
            0x60 => *self.memory.get(i.k as usize)?,                             // MEM
            0x80 => wire_len,                                                    // LEN
            0xa0 => at(i.k, 1)?.first().map(|byte| u32::from(byte & 0x0f) * 4)?, // MSH
            _ => return None,
        };
        if i.code & 0x07 == 0 {
            self.a = value
        } else {
            self.x = value
        }
        Some(())
    }

    fn operand(&self, i: &Instruction) -> u32 {
        if i.code & 0x08 == 0 { i.k } else { self.x }
    }

    fn compute(&self, i: &Instruction) -> Option<u32> {
        let (a, b) = (self.a, self.operand(i));
        Some(match i.code & 0xf0 {
            0x00 => a.wrapping_add(b),
            0x10 => a.wrapping_sub(b),
            0x20 => a.wrapping_mul(b),
            0x30 => a.checked_div(b)?,
            0x40 => a | b,
            0x50 => a & b,
            0x60 => a.checked_shl(b).unwrap_or(0),
            0x70 => a.checked_shr(b).unwrap_or(0),
            0x80 => a.wrapping_neg(),
            0x90 => a.checked_rem(b)?,
            0xa0 => a ^ b,
            _ => return None,
        })
    }

    fn jump(&self, i: &Instruction) -> Option<u32> {
        let (a, b) = (self.a, self.operand(i));
        let holds = match i.code & 0xf0 {
            0x00 => return Some(i.k), // JA
            0x10 => a == b,
            0x20 => a > b,
            0x30 => a >= b,
            0x40 => a & b != 0,
            _ => return None,
        };
        Some(u32::from(if holds { i.if_true } else { i.if_false }))
    }
}

#[cfg(test)]
mod tests {
    use etherparse::PacketBuilder;

    use super::*;
    use crate::time::Timestamp;

    fn frame(port: u16, payload: usize) -> Vec<u8> {
        let mut out = Vec::new();
        let builder = PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4([192, 0, 2, 1], [192, 0, 2, 9], 64);
        builder.tcp(40_000, port, 1, 1).write(&mut out, &vec![0; payload]).unwrap();
        out
    }

    fn passes(expression: &str, bytes: &[u8], original_len: usize, link: LinkType) -> bool {
        let time = Timestamp::from_nanos(0);
        let meta = FrameMeta { time, offset: 0, captured_len: bytes.len() as u32, original_len: original_len as u32, link };
        Filter::new(expression).unwrap().passes(&meta, bytes)
    }

    fn ethernet(expression: &str, bytes: &[u8]) -> bool {
        passes(expression, bytes, bytes.len(), LinkType::Ethernet)
    }

    #[test]
    fn the_usual_expressions_hold() {
        let ssh = frame(22, 36);
        for yes in ["", "port 22", "tcp and host 192.0.2.9", "src net 192.0.2.0/28", "tcp[13] & 2 == 0", "ip[8] = 64", "less 100"]
        {
            assert!(ethernet(yes, &ssh), "{yes}");
        }
        for no in ["port 23", "udp", "host 192.0.2.77", "tcp[tcpflags] & tcp-syn != 0", "ip6", "greater 1000", "vlan 7"] {
            assert!(!ethernet(no, &ssh), "{no}");
        }
        assert!(ethernet("tcp[((tcp[12] & 0xf0) >> 2):4] = 0", &ssh), "payload by the header's length");
    }

    #[test]
    fn lengths_are_those_on_the_wire() {
        let whole = frame(22, 1_000);
        let cut = &whole[..96];
        assert!(passes("greater 1000", cut, whole.len(), LinkType::Ethernet));
        assert!(!passes("less 200", cut, whole.len(), LinkType::Ethernet));
        assert!(ethernet("tcp[50] = 0", cut));
        assert!(!ethernet("tcp[70] = 0", cut), "what was not captured is not there");
    }

    #[test]
    fn each_link_type_has_its_own_program() {
        let ssh = frame(22, 36);
        assert!(passes("port 22", &ssh[14..], ssh.len() - 14, LinkType::RawIp));
        assert!(!passes("ether host 02:02:02:02:02:02", &ssh[14..], ssh.len() - 14, LinkType::RawIp));
    }

    #[test]
    fn a_mistake_is_told_in_libpcaps_words() {
        let error = Filter::new("prot 22").unwrap_err();
        assert!(error.to_string().contains("prot 22") && error.to_string().len() > 20, "{error}");
    }

    /// The same frames as `tcpdump` keeps: every instruction that these expressions compile to agrees with libpcap's own machine.
    #[test]
    fn the_machine_agrees_with_libpcaps() {
        let frames: Vec<Vec<u8>> = (0..40).map(|i| frame(20 + i % 5, usize::from(i) * 37)).collect();
        for expression in
            ["tcp portrange 21-23", "len % 3 = 1 and port 22", "ip[2:2] > 300 or port 24", "not (port 20 or port 21)"]
        {
            let dead = Capture::dead(Linktype(1)).unwrap();
            let theirs = dead.compile(expression, true).unwrap();
            for frame in &frames {
                assert_eq!(ethernet(expression, frame), theirs.filter(frame), "{expression} on {} bytes", frame.len());
            }
        }
    }
}
