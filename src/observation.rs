//! What leaves an engine: what one flow showed, measured and inferred, not judged.
//!
//! Observations are keyed so that those of several engines merge into one order, whatever their number.

use std::{net::IpAddr, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{
    evidence::Slice,
    flow::{Endpoint, Evidence, PerSide, SessionId, StackMarks, Traffic, TransportKind},
    measure::{
        estimate::{Floor, Quantiles},
        keystroke::{Keystroke, KeystrokeSummary},
        least::Least,
        program::ProgramRoundTrips,
        quality::Quality,
    },
    protocol::{Facts, carrier::Carrier},
    time::{Span, Timestamp},
    wire::Encapsulation,
};

/// One observation and its place in the order.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Observation {
    /// When it became known; the order of records.
    pub key: ObservationKey,
    /// What was observed.
    pub body: Body,
}

/// The order of observations: by the frame that made them known, then by the deadline that fired before that frame, then by
/// session and position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ObservationKey {
    /// Number of the frame.
    pub frame: u64,
    /// The deadline, or the frame's own time.
    pub time: Timestamp,
    /// The session.
    pub session: SessionId,
    /// Position within the session.
    pub sequence: u64,
}

/// What was observed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Body {
    /// A keystroke was decided.
    Keystroke {
        /// The keystroke.
        keystroke: Keystroke,
        /// The last client-side round trip before it became known.
        client_rtt: Option<Span>,
    },
    /// A session has ended, or the capture has; or any other flow, where those are reported too.
    SessionEnded(Box<SessionReport>),
    /// A flow shows that the sensor's clock was set forwards somewhere between these times; others may show the same.
    ClockSet {
        /// Not before.
        from: Timestamp,
        /// Not behind.
        until: Timestamp,
    },
    /// A session goes on: what is known of it so far.
    SessionUpdated(Box<SessionReport>),
}

/// How a session stands, or ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SessionState {
    /// It goes on.
    Open,
    /// Both sides finished, or one reset it.
    Closed,
    /// No packet for too long.
    TimedOut,
    /// The flow table was full.
    Evicted,
    /// The capture ended.
    Eof,
}

/// Why a flow is believed to be what `protocol` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum IdentifiedBy {
    /// Both sides spoke the protocol.
    Handshake,
    /// One side did.
    Signature,
    /// The port alone: its beginning was not captured.
    Port,
    /// Somebody types into it; its protocol is not known.
    Behaviour,
}

/// Everything that an engine knows of a session, or of a flow that is none.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SessionReport {
    /// Identifier.
    pub id: SessionId,
    /// How many reports of it there were before.
    pub update: u32,
    /// Community ID version 1.
    pub community_id: String,
    /// Which input its first frame came from, by position.
    pub input: u32,
    /// The client's initial sequence number, where the SYN was seen.
    pub client_isn: Option<u32>,
    /// How it ended.
    pub state: SessionState,
    /// Time of the first frame.
    pub start: Timestamp,
    /// Time of the last frame.
    pub end: Timestamp,
    /// Both endpoints, by role.
    pub endpoints: PerSide<Endpoint>,
    /// Transport protocol.
    pub transport: TransportKind,
    /// VLAN and tunnel of the first frame.
    pub encapsulation: Encapsulation,
    /// Hardware addresses, by role.
    pub mac: PerSide<Option<[u8; 6]>>,
    /// Why the client is believed to be the client.
    pub evidence: Evidence,
    /// Why this is believed to be what `facts` are of; `None` for a flow that is no session.
    pub identified_by: Option<IdentifiedBy>,
    /// Its beginning was not captured.
    pub midstream: bool,
    /// What the handshake said in clear; `None` for a flow that is no session.
    pub facts: Option<Facts>,
    /// The proxies in which it came wrapped, from the client's on.
    pub carriers: Vec<Carrier>,
    /// See [`crate::measure::keystroke::Keystrokes::obfuscated`].
    pub obfuscated: Option<bool>,
    /// Marks of each side's TCP stack.
    pub stack: PerSide<Stack>,
    /// Counters of each direction, by sender.
    pub traffic: PerSide<Traffic>,
    /// Round trips of each side: sensor to that side and back.
    pub rtt: PerSide<RoundTrips>,
    /// Keystrokes; `None` where they cannot be told.
    pub keystrokes: Option<KeystrokeSummary>,
    /// Round trips of the client program; `None` where none was seen.
    pub program: Option<ProgramRoundTrips>,
    /// How good its capture is.
    pub quality: Quality,
    /// The headers of its frames, where they were kept; these are not written.
    #[serde(skip)]
    pub slice: Option<Arc<Slice>>,
}

/// Marks of one side's TCP stack.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stack {
    /// What its headers say.
    pub marks: StackMarks,
    /// Nominal rate of its timestamp clock, in ticks a second.
    pub timestamp_hz: Option<u32>,
}

/// Round trips between the sensor and one side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoundTrips {
    /// Of the three-way handshake.
    pub handshake: Option<Span>,
    /// Of data to its acknowledgement, the handshake's among them.
    pub samples: Option<Quantiles>,
    /// All that is kept of them for a flow that is no session; nothing else is known of its round trips then.
    pub least: Option<Least>,
    /// How many of them an acknowledgement without data completed: TCP's own answer. One that waits for the next data
    /// contains whatever the program, or the person, took.
    pub prompt: u64,
    /// The robust floor over those, or the handshake where it lies below: where every acknowledgement is delayed, nothing
    /// else shows the path.
    pub floor: Option<Floor>,
    /// The robust floor alone, for whoever must not rest on a single sample.
    pub repeated_floor: Option<Floor>,
}

impl RoundTrips {
    /// How many samples there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.samples.map(|quantiles| quantiles.samples).or_else(|| self.least.map(|least| least.samples)).unwrap_or_default()
    }

    /// The smallest sample.
    #[must_use]
    pub fn min(&self) -> Option<Span> {
        self.samples.map(|quantiles| quantiles.min).or_else(|| self.least.map(|least| least.min))
    }
}

impl SessionReport {
    /// Whether this is a session, and not some other flow.
    #[must_use]
    pub const fn is_session(&self) -> bool {
        self.identified_by.is_some()
    }

    /// The address of the end that types.
    #[must_use]
    pub const fn client_ip(&self) -> IpAddr {
        self.endpoints.client.ip
    }
}

/// What an engine counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Frames.
    pub packets: u64,
    /// Bytes of frames on the wire.
    pub bytes: u64,
    /// Frames, or what they carry behind IP, that could not be decoded and should have been: damaged, cut, or of a
    /// link type that is not supported. ARP, ICMP and the like are no damage.
    pub undecoded: u64,
    /// Frames cut by a snaplen.
    pub truncated: u64,
    /// Copies of frames. Of flows that are no sessions only those that came within the next four frames.
    pub duplicated: u64,
    /// Copies of fragments.
    pub duplicated_fragments: u64,
    /// Frames earlier than one before them.
    pub out_of_order: u64,
    /// How often the sensor's clock was set back, as far as that shows: see [`Quality::clock_steps`].
    pub clock_steps: u32,
    /// Packets put together from fragments.
    pub reassembled: u64,
    /// Frames with fragments that came to nothing; they count as not decoded too.
    pub dropped_fragments: u64,
    /// Flows dropped because a table was full.
    pub dropped_flows: u64,
    /// TCP flows.
    pub tcp_flows: u64,
    /// UDP flows.
    pub udp_flows: u64,
    /// Flows that were identified.
    pub identified: u64,
    /// Sessions with at least one keystroke.
    pub interactive: u64,
    /// How often a flow was not watched for somebody who types, because too many were.
    pub unwatched: u64,
    /// First packets of QUIC that were not opened, because too many were.
    pub unread: u64,
    /// Earliest frame.
    pub first_time: Option<Timestamp>,
    /// Latest frame.
    pub last_time: Option<Timestamp>,
}

impl Counters {
    /// With the flows of another engine that saw the same frames. What is counted by frame is equal in both.
    #[must_use]
    pub const fn with_flows_of(self, other: &Self) -> Self {
        Self {
            duplicated: self.duplicated + other.duplicated,
            dropped_flows: self.dropped_flows + other.dropped_flows,
            tcp_flows: self.tcp_flows + other.tcp_flows,
            udp_flows: self.udp_flows + other.udp_flows,
            identified: self.identified + other.identified,
            interactive: self.interactive + other.interactive,
            unwatched: self.unwatched + other.unwatched,
            unread: self.unread + other.unread,
            ..self
        }
    }
}
