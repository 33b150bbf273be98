//! SSH sessions as OpenSSH makes them: what is in clear in full, what is encrypted by its lengths.

use std::rc::Rc;

use keywitness::flow::Side;

use super::{
    chance::Chance,
    script::{FULL, Load, MILLISECOND, Nanos, Script},
};

/// Ciphers whose packet lengths differ in what shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cipher {
    /// Lengths are hidden; a segment is the unit.
    Chacha,
    /// Lengths stand in clear.
    Gcm,
}

impl Cipher {
    const fn name(self) -> &'static str {
        match self {
            Self::Chacha => "chacha20-poly1305@openssh.com",
            Self::Gcm => "aes128-gcm@openssh.com",
        }
    }

    /// Lengths of the packets of a login with a public key that opens a terminal and a shell, as recorded from OpenSSH: the
    /// client's above 0, the server's below.
    const fn login(self) -> &'static [i16] {
        match self {
            Self::Chacha => &[44, -44, 60, -280, 140, -100, 308, -28, 112, -412, -44, 392, -108],
            Self::Gcm => &[52, -52, 68, -68, 148, -100, 308, -36, 52, 68, -412, -52, 340, 52, -36, -36, -36],
        }
    }

    /// The packet that carries this much of what is typed or printed (RFC 4253 §6, RFC 4254 §5.2).
    const fn data(self, bytes: u16) -> u16 {
        let block = match self {
            Self::Chacha => 8,
            Self::Gcm => 16,
        };
        4 + (bytes + 14).next_multiple_of(block) + 16
    }

    const fn load(self, len: u16) -> Load {
        match self {
            Self::Chacha => Load::Noise(len),
            Self::Gcm => Load::Lengthened(len),
        }
    }
}

/// A packet in clear.
fn packet(payload: &[u8]) -> Vec<u8> {
    let padding = 4 + (8 - (9 + payload.len()) % 8) % 8;
    let length = (1 + payload.len() + padding) as u32;
    let mut out = length.to_be_bytes().to_vec();
    out.push(padding as u8);
    out.extend(payload);
    out.resize(out.len() + padding, 0);
    out
}

/// SSH_MSG_KEXINIT.
fn offer(cipher: Cipher, role: char) -> Vec<u8> {
    let kex = format!(
        "sntrup761x25519-sha512@openssh.com,curve25519-sha256,curve25519-sha256@libssh.org,ecdh-sha2-nistp256,ecdh-sha2-nistp384,\
         ecdh-sha2-nistp521,diffie-hellman-group-exchange-sha256,diffie-hellman-group16-sha512,diffie-hellman-group14-sha256,\
         ext-info-{role},kex-strict-{role}-v00@openssh.com"
    );
    let ciphers = format!("{},aes128-ctr,aes192-ctr,aes256-ctr", cipher.name());
    let macs = "umac-64-etm@openssh.com,umac-128-etm@openssh.com,hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com,\
                hmac-sha1-etm@openssh.com,umac-64@openssh.com,umac-128@openssh.com,hmac-sha2-256,hmac-sha2-512,hmac-sha1";
    let keys = "rsa-sha2-512,rsa-sha2-256,ecdsa-sha2-nistp256,ssh-ed25519";
    let compression = "none,zlib@openssh.com";
    let mut payload = vec![20];
    payload.extend([0x5a; 16]);
    for list in [&kex, keys, &ciphers, &ciphers, macs, macs, compression, compression, "", ""] {
        payload.extend((list.len() as u32).to_be_bytes());
        payload.extend(list.as_bytes());
    }
    payload.extend([0; 5]);
    packet(&payload)
}

/// What every session of one cipher says in clear.
#[derive(Clone, Debug)]
struct Clear {
    client: [Rc<[u8]>; 4],
    server: [Rc<[u8]>; 3],
}

impl Clear {
    fn new(cipher: Cipher) -> Self {
        let message = |number: u8, len: usize| packet(&[vec![number], vec![0xa5; len - 1]].concat());
        let new_keys = message(21, 1);
        Self {
            // Release 9.2 of both programs does not hide keystrokes.
            client: [
                b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n".as_slice().into(),
                offer(cipher, 'c').into(),
                message(30, 1_195).into(),
                new_keys.clone().into(),
            ],
            server: [
                b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u2\r\n".as_slice().into(),
                offer(cipher, 's').into(),
                [message(31, 1_250), new_keys].concat().into(),
            ],
        }
    }
}

/// Makes sessions.
#[derive(Clone, Debug)]
pub(crate) struct Sessions {
    chacha: Clear,
    gcm: Clear,
}

impl Sessions {
    pub(crate) fn new() -> Self {
        Self { chacha: Clear::new(Cipher::Chacha), gcm: Clear::new(Cipher::Gcm) }
    }

    /// A session from its first packet to its last, in which about so many keys are typed.
    pub(crate) fn session(&self, start: Nanos, keys: u32, chance: &mut Chance) -> Script {
        let client_rtt = chance.skewed(35.0, 0.7).clamp(2.0, 400.0);
        let server_rtt = chance.skewed(0.6, 0.5).clamp(0.1, 10.0);
        let cipher = if chance.happens(0.7) { Cipher::Chacha } else { Cipher::Gcm };
        let clear = if cipher == Cipher::Chacha { &self.chacha } else { &self.gcm };
        let mut typing = Typing {
            script: Script::new((client_rtt * 1e6) as Nanos, (server_rtt * 1e6) as Nanos),
            cipher,
            pace: chance.skewed(170.0, 0.25),
            now: start,
        };
        typing.log_in(clear);
        let mut left = keys;
        typing.print(chance.between(200, 900));
        while left > 0 {
            let line = chance.between(3, 25).min(left);
            left -= line;
            typing.line(line, chance);
        }
        typing.script.close(typing.now);
        typing.script
    }
}

/// A session while it goes on.
struct Typing {
    script: Script,
    cipher: Cipher,
    /// Median milliseconds between keys.
    pace: f64,
    now: Nanos,
}

impl Typing {
    /// Handshake and login, by turns.
    fn log_in(&mut self, clear: &Clear) {
        let text = |bytes: &Rc<[u8]>| Load::Text(bytes.clone());
        self.now = self.script.open(self.now);
        let (client, server) = (&clear.client, &clear.server);
        let lines = [
            (Side::Client, text(&client[0])),
            (Side::Server, text(&server[0])),
            (Side::Client, text(&client[1])),
            (Side::Server, text(&server[1])),
            (Side::Client, text(&client[2])),
            (Side::Server, text(&server[2])),
            (Side::Client, text(&client[3])),
        ];
        let encrypted = self.cipher.login().iter().map(|&len| {
            let side = if len > 0 { Side::Client } else { Side::Server };
            (side, self.cipher.load(len.unsigned_abs()))
        });
        let lines: Vec<_> = lines.into_iter().chain(encrypted).collect();
        let mut heard = self.now;
        for (nth, (side, load)) in lines.iter().enumerate() {
            // A program takes a little before it answers, and sends the rest of what it has at once.
            let begins = nth > 0 && lines[nth - 1].0 != *side;
            self.now = if begins { heard + MILLISECOND / 2 } else { self.now + MILLISECOND / 20 };
            heard = self.script.say(self.now, *side, load.clone());
        }
        self.now = heard;
    }

    /// Output of a program, as it comes out of a pipe.
    fn print(&mut self, bytes: u32) {
        let mut rest = bytes;
        while rest > 0 {
            let data = rest.min(1_200) as u16;
            rest -= u32::from(data);
            let load = self.cipher.load(self.cipher.data(data).min(FULL));
            self.now += MILLISECOND / 4;
            let seen = self.script.say(self.now, Side::Server, load);
            self.script.acknowledge(seen, Side::Client);
        }
        self.now += self.script.rtt.client;
    }

    /// Keys, each echoed; then Enter, what it prints, and a pause to read that.
    fn line(&mut self, keys: u32, chance: &mut Chance) {
        let mut last_ack = self.now;
        for _ in 0..keys {
            self.now += (chance.skewed(self.pace, 0.45).clamp(25.0, 4_000.0) * 1e6) as Nanos;
            let typed = if chance.happens(0.04) { 3 } else { 1 };
            let printed = if typed == 3 || chance.happens(0.03) { 4 } else { 1 };
            let heard = self.script.say(self.now, Side::Client, self.cipher.load(self.cipher.data(typed)));
            let echoed = heard + (chance.skewed(0.4, 0.6) * 1e6) as Nanos;
            last_ack = self.script.say(echoed, Side::Server, self.cipher.load(self.cipher.data(printed)));
            self.script.acknowledge(last_ack, Side::Client);
        }
        self.now = last_ack + (chance.skewed(120.0, 0.5) * 1e6) as Nanos;
        let heard = self.script.say(self.now, Side::Client, self.cipher.load(self.cipher.data(1)));
        self.now = heard + (chance.skewed(2.0, 1.0) * 1e6) as Nanos;
        self.print((chance.skewed(350.0, 1.1) as u32).clamp(40, 12_000));
        self.now += (chance.skewed(1_200.0, 0.7).clamp(200.0, 20_000.0) * 1e6) as Nanos;
    }
}
