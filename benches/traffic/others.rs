//! Conversations that are no sessions.

use std::rc::Rc;

use keywitness::flow::Side;

use super::{
    chance::Chance,
    script::{ACK, FIN, FULL, Load, MICROSECOND, MILLISECOND, Nanos, PSH, RST, SECOND, SYN, Script},
};

/// A path from the sensor to a client and to a server, in round trips.
fn path(chance: &mut Chance) -> Script {
    let client = chance.skewed(0.8, 0.6).clamp(0.1, 50.0);
    let server = chance.skewed(15.0, 0.8).clamp(1.0, 300.0);
    Script::new((client * 1e6) as Nanos, (server * 1e6) as Nanos)
}

/// Pages over TLS: a few requests, answers of very different length.
pub(crate) fn web(start: Nanos, chance: &mut Chance) -> Script {
    let mut script = path(chance);
    let hello: Rc<[u8]> = [&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3], [0x33; 506].as_slice()].concat().into();
    let now = script.open(start);
    let heard = script.say(now + 100 * MICROSECOND, Side::Client, Load::Text(hello));
    let mut now = script.pour(heard + MILLISECOND, Side::Server, chance.between(2_800, 4_200), FULL);
    now = script.say(now + 300 * MICROSECOND, Side::Client, Load::Noise(80));
    // Some servers write small TLS records, so that a browser can begin to draw early.
    let size = if chance.happens(0.35) { chance.between(500, 600) as u16 } else { FULL };
    let requests = 1 + (chance.exponential(1.8) as u32).min(20);
    for _ in 0..requests {
        now += (chance.skewed(15.0, 1.2).min(3_000.0) * 1e6) as Nanos;
        let heard = script.say(now, Side::Client, Load::Noise(chance.between(90, 700) as u16));
        let bytes = chance.skewed(4_200.0, 1.35).clamp(120.0, 2e6) as u32;
        now = script.pour(heard + MILLISECOND, Side::Server, bytes, size);
    }
    script.close(now + MILLISECOND);
    script
}

/// A question to a name server and its answer.
pub(crate) fn name(start: Nanos, chance: &mut Chance) -> Script {
    let mut script = path(chance);
    let heard = script.say(start, Side::Client, Load::Noise(chance.between(30, 60) as u16));
    script.say(heard, Side::Server, Load::Noise(chance.between(60, 260) as u16));
    script
}

/// QUIC: a download over UDP.
pub(crate) fn quic(start: Nanos, chance: &mut Chance) -> Script {
    let mut script = path(chance);
    let (client, server) = (script.rtt.client, script.rtt.server);
    let mut now = script.say(start, Side::Client, Load::Noise(1_200));
    for nth in 0..(chance.skewed(20.0, 0.9) as u32).clamp(4, 900) {
        now += if nth % 10 == 9 { client + server } else { 15 * MICROSECOND };
        script.segment(now, Side::Server, 0, Load::Noise(1_200));
        if nth % 4 == 3 {
            script.segment(now + client, Side::Client, 0, Load::Noise(chance.between(30, 45) as u16));
        }
    }
    script
}

/// Half a hundred small messages by turns, as between programs: nothing but smallest segments.
pub(crate) fn chatter(start: Nanos, chance: &mut Chance) -> Script {
    let mut script = path(chance);
    let mut now = script.open(start);
    for _ in 0..32 {
        now += (chance.skewed(80.0, 0.6) * 1e6) as Nanos;
        let heard = script.say(now, Side::Client, Load::Noise(chance.between(6, 12) as u16));
        script.acknowledge(heard, Side::Server);
        script.acknowledge(heard + script.rtt.client, Side::Client);
    }
    script.close(now + MILLISECOND);
    script
}

/// One request and one answer; the server finishes and the client is never heard of again. So the flow stays until it has been silent
/// for long.
pub(crate) fn exchange(start: Nanos, chance: &mut Chance) -> Script {
    let mut script = path(chance);
    let asked = script.open(start);
    let told = script.say(asked, Side::Client, Load::Noise(chance.between(40, 160) as u16));
    let long = chance.happens(0.3);
    let len = if long { chance.between(1_000, 1_300) } else { chance.between(20, 220) };
    script.segment(told, Side::Server, ACK | PSH | FIN, Load::Noise(len as u16));
    script
}

/// A SYN that is refused.
pub(crate) fn refusal(start: Nanos, chance: &mut Chance) -> Script {
    let mut script = path(chance);
    script.segment(start, Side::Client, SYN, Load::Nothing);
    script.segment(start + script.rtt.server, Side::Server, ACK | RST, Load::Nothing);
    script
}

/// A SYN that nobody answers, and another one a second later: a scan.
pub(crate) fn scan(start: Nanos, chance: &mut Chance) -> Script {
    let mut script = path(chance);
    script.segment(start, Side::Client, SYN, Load::Nothing);
    script.segment(start + SECOND, Side::Client, SYN, Load::Nothing);
    script
}
