//! Frames of WebSocket (RFC 6455 §5.2): what they carry comes out, without their heads and masks. Those that carry nothing (ping, pong,
//! close) are passed over. Where a frame ends and what it is part of makes no difference: a byte stream is carried.

/// The head of a frame: two bytes, up to eight more of length, four of a mask.
#[cfg(test)]
const LONGEST_HEAD: usize = 14;

/// Bits of its first byte that only extensions set, and the kind.
const RESERVED: u8 = 0x70;
const KIND: u8 = 0x0f;
const CONTINUED: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CONTROL: std::ops::RangeInclusive<u8> = 8..=10;

/// Of its second byte.
const MASKED: u8 = 0x80;
const LEN: u8 = 0x7f;

/// What is kept between two segments of room for what a mask is taken off, in bytes.
const KEPT: usize = 512;

/// What came is no frame, or one of an extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoFrame;

/// Reader of one side.
#[derive(Clone, Debug, Default)]
pub(super) struct Frames {
    head: Vec<u8>,
    mask: [u8; 4],
    /// How many bytes of the mask were used last.
    turn: usize,
    /// What is left of the frame.
    left: u64,
    carries: bool,
    is_masked: bool,
    unmasked: Vec<u8>,
}

impl Frames {
    /// What it allocates at most between two segments, in bytes.
    #[cfg(test)]
    pub(super) const MOST_BYTES: usize = 2 * LONGEST_HEAD + 2 * KEPT;

    /// Takes the next bytes; what each frame carries goes to `carry`.
    pub(super) fn push(&mut self, mut bytes: &[u8], mut carry: impl FnMut(&[u8])) -> Result<(), NoFrame> {
        while let Some((first, rest)) = bytes.split_first() {
            if self.left == 0 {
                self.on_head(*first)?;
                bytes = rest;
                continue;
            }
            let len = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
            let Some((piece, rest)) = bytes.split_at_checked(len) else { break };
            bytes = rest;
            self.left -= len as u64;
            match (self.carries, self.is_masked) {
                (false, _) => {}
                (true, false) => carry(piece),
                (true, true) => carry(self.unmask(piece)),
            }
            self.unmasked.shrink_to(KEPT);
        }
        Ok(())
    }

    /// Bytes were not captured. Whether they were all of what a frame carries, so that it is known where the next one begins.
    pub(super) const fn skip(&mut self, len: u32) -> bool {
        let is_within = self.left > len as u64;
        if is_within {
            self.left -= len as u64;
            self.turn += len as usize;
        }
        is_within
    }

    /// Whether bytes are whole frames and nothing else, so that what follows begins with one.
    pub(super) fn are_whole(bytes: &[u8]) -> bool {
        let mut frames = Self::default();
        frames.push(bytes, |_| {}).is_ok() && frames.left == 0 && frames.head.is_empty() && bytes.len() > 1
    }

    fn unmask(&mut self, piece: &[u8]) -> &[u8] {
        let mask = self.mask.iter().cycle().skip(self.turn % 4);
        self.unmasked.clear();
        self.unmasked.extend(piece.iter().zip(mask).map(|(byte, mask)| byte ^ mask));
        self.turn = self.turn.wrapping_add(piece.len());
        &self.unmasked
    }

    fn on_head(&mut self, byte: u8) -> Result<(), NoFrame> {
        self.head.push(byte);
        let &[first, second, ref rest @ ..] = self.head.as_slice() else { return Ok(()) };
        let kind = first & KIND;
        let (is_control, carries) = (CONTROL.contains(&kind), matches!(kind, CONTINUED | TEXT | BINARY));
        let short = second & LEN;
        let more = match short {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        if first & RESERVED != 0 || !(is_control || carries) || (is_control && more > 0) {
            return Err(NoFrame);
        }
        let is_masked = second & MASKED != 0;
        if rest.len() < more + if is_masked { 4 } else { 0 } {
            return Ok(());
        }
        let (len, mask) = rest.split_at_checked(more).ok_or(NoFrame)?;
        let long = len.iter().fold(0_u64, |len, byte| len << 8 | u64::from(*byte));
        self.left = if more == 0 { u64::from(short) } else { long };
        self.mask = mask.try_into().unwrap_or_default();
        (self.turn, self.carries, self.is_masked) = (0, carries, is_masked);
        self.head.clear();
        // The most significant bit is 0.
        if self.left > i64::MAX as u64 { Err(NoFrame) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is carried, fed in pieces of so many bytes.
    fn carried(bytes: &[u8], piece: usize) -> Result<Vec<u8>, NoFrame> {
        let (mut frames, mut carried) = (Frames::default(), Vec::new());
        bytes.chunks(piece).try_for_each(|piece| frames.push(piece, |bytes| carried.extend(bytes)))?;
        assert!(frames.unmasked.capacity() <= 2 * KEPT && frames.head.capacity() <= 2 * LONGEST_HEAD);
        Ok(carried)
    }

    /// The first two are of RFC 6455 §5.7; between them a ping, behind them all lengths.
    #[test]
    fn what_frames_carry_comes_out_however_they_are_cut() {
        let masked = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
        let ping = [0x89, 0x02, 7, 7];
        let clear = [0x01, 0x03, b'H', b'e', b'l', 0x80, 0x02, b'l', b'o'];
        let long = [&[0x82, 126, 1, 0][..], &[1; 256], &[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0], &[2; 65_536], &[0x82, 0]].concat();
        let bytes = [&masked[..], &ping, &clear, &long, &[0x88, 0x80, 1, 2, 3, 4]].concat();
        let whole = [&b"HelloHello"[..], &[1; 256], &[2; 65_536]].concat();
        for piece in [1, 2, 3, 5, 7, 1_448, bytes.len()] {
            assert_eq!(carried(&bytes, piece).as_ref(), Ok(&whole), "in pieces of {piece}");
        }
    }

    #[test]
    fn what_is_no_frame_is_said_to_be_none() {
        for bytes in
            [&[0xc1, 0x01, b'a'][..], &[0x83, 0], &[0x89, 126, 0, 200], b"RFB 003.008\n", &[0x82, 127, 128, 0, 0, 0, 0, 0, 0, 0]]
        {
            assert_eq!(carried(bytes, 1), Err(NoFrame), "{bytes:?}");
        }
    }

    #[test]
    fn what_is_missing_inside_a_frame_is_passed_over() {
        let (mut frames, mut carried) = (Frames::default(), Vec::<u8>::new());
        frames.push(&[0x82, 0x8a, 1, 2, 3, 4, 1, 2, 3], |bytes| carried.extend(bytes)).unwrap();
        assert!(frames.skip(6) && !frames.skip(1));
        frames.push(&[2, 0x82, 1, 9], |bytes| carried.extend(bytes)).unwrap();
        assert_eq!(carried, [0, 0, 0, 0, 9]);
        assert!(Frames::are_whole(&[0x82, 1, 9, 0x89, 0]));
        assert!(!Frames::are_whole(&[0x82, 2, 9]) && !Frames::are_whole(&[9, 0x82, 1, 9]) && !Frames::are_whole(&[]));
    }
}
