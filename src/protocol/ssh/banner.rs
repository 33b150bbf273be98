//! The identification string (RFC 4253 §4.2): `SSH-protoversion-softwareversion SP comments CR LF`.

/// Longest identification line, CR and LF included (RFC 4253 §4.2). Longer lines are cut here.
const MAX_LINE: usize = 255;

/// Bytes of other lines that a server may send first; OpenSSH gives up after 1024 lines, we after this.
const MAX_PREAMBLE: usize = 8 * 1024;

/// What came of looking for the identification line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Not yet a whole line.
    NotYet,
    /// The line without its end, and how many bytes of the input belong to it.
    Line(Vec<u8>, usize),
    /// This is not SSH.
    NotOurs,
}

/// Collects one side's bytes up to the end of its identification line.
#[derive(Clone, Debug, Default)]
pub(super) struct BannerReader {
    line: Vec<u8>,
    preamble: usize,
}

impl BannerReader {
    /// Takes the next bytes. `lenient` lets other lines come first: only a server may send them.
    pub(super) fn push(&mut self, bytes: &[u8], lenient: bool) -> Found {
        for (i, &byte) in bytes.iter().enumerate() {
            if byte != b'\n' {
                if self.line.len() < MAX_LINE {
                    self.line.push(byte);
                }
                let wanted = self.line.len().min(4);
                let matches = self.line.get(..wanted) == b"SSH-".get(..wanted);
                if !matches && (!lenient || self.preamble + i > MAX_PREAMBLE) {
                    return Found::NotOurs;
                }
                if matches && self.line.len() >= MAX_LINE {
                    return Found::NotOurs; // no line end where the RFC wants one
                }
                continue;
            }
            if self.line.starts_with(b"SSH-") {
                let mut line = std::mem::take(&mut self.line);
                if line.last() == Some(&b'\r') {
                    line.pop();
                }
                return Found::Line(line, i + 1);
            }
            if !lenient {
                return Found::NotOurs;
            }
            self.line.clear();
        }
        self.preamble += bytes.len();
        Found::NotYet
    }
}

/// OpenSSH's version as (major, minor), from an identification line such as `SSH-2.0-OpenSSH_10.0p2 Debian-7`.
/// The port that Windows ships (`OpenSSH_for_Windows_9.5`) counts as OpenSSH.
pub(super) fn openssh_version(line: &[u8]) -> Option<(u32, u32)> {
    let software = line.strip_prefix(b"SSH-2.0-").or_else(|| line.strip_prefix(b"SSH-1.99-"))?;
    let rest = software.strip_prefix(b"OpenSSH_for_Windows_").or_else(|| software.strip_prefix(b"OpenSSH_"))?;
    let (major, rest) = leading_number(rest)?;
    let (minor, _) = leading_number(rest.strip_prefix(b".")?)?;
    Some((major, minor))
}

fn leading_number(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let digits = bytes.iter().take(4).take_while(|byte| byte.is_ascii_digit()).count();
    let (number, rest) = bytes.split_at_checked(digits)?;
    Some((std::str::from_utf8(number).ok()?.parse().ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(chunks: &[&[u8]], lenient: bool) -> Found {
        let mut reader = BannerReader::default();
        chunks.iter().map(|chunk| reader.push(chunk, lenient)).find(|found| *found != Found::NotYet).unwrap_or(Found::NotYet)
    }

    #[test]
    fn a_line_comes_whole_however_it_is_cut() {
        let want = Found::Line(b"SSH-2.0-x y".to_vec(), 1);
        assert_eq!(read(&[b"S", b"SH-2", b".0-x y\r", b"\nrest"], false), want);
        assert_eq!(read(&[b"SSH-2.0-x y\nrest"], false), Found::Line(b"SSH-2.0-x y".to_vec(), 12));
    }

    #[test]
    fn only_a_server_may_speak_first_of_other_things() {
        let lines: &[&[u8]] = &[b"welcome\r\n", b"to SSH-land\r\nSSH-2.0-x\r\n"];
        assert!(matches!(read(lines, true), Found::Line(line, _) if line == b"SSH-2.0-x"));
        assert_eq!(read(lines, false), Found::NotOurs);
    }

    #[test]
    fn hostile_lengths_end_the_search() {
        assert_eq!(read(&[&[b"SSH-".as_slice(), &[b'a'; 300]].concat()], true), Found::NotOurs);
        assert_eq!(read(&[&[b'a'; 20_000]], true), Found::NotOurs);
        assert_eq!(read(&[&[0xff; 10]], false), Found::NotOurs);
        let mut reader = BannerReader::default();
        (0..10_000).for_each(|_| {
            reader.push(b"\n\n\n\n", true);
        });
        assert!(reader.line.is_empty());
    }

    #[test]
    fn versions_are_read_and_not_guessed() {
        assert_eq!(openssh_version(b"SSH-2.0-OpenSSH_10.0p2 Debian-7~bpo12+1"), Some((10, 0)));
        assert_eq!(openssh_version(b"SSH-2.0-OpenSSH_for_Windows_9.5"), Some((9, 5)));
        assert_eq!(openssh_version(b"SSH-2.0-OpenSSH"), None);
        assert_eq!(openssh_version(b"SSH-2.0-dropbear_2022.83"), None);
        assert_eq!(openssh_version(b"SSH-2.0-OpenSSH_99999999999.1"), None);
    }
}
