//! What leaves the correlator: sessions with their verdict, keystrokes, alerts, and at the end the summary.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{
    evidence::Slice,
    flow::{Endpoint, PerSide, SessionId},
    judge::{
        Finding,
        place::Place,
        verdict::{Judgement, Verdict},
    },
    measure::{keystroke::Keystroke, quality::Quality},
    observation::{Counters, SessionReport},
    time::{Span, Timestamp},
};

/// One record.
#[derive(Clone, Debug)]
pub enum Event {
    /// A session, judged; or another flow, where those are reported too.
    Session(Box<SessionEvent>),
    /// A keystroke of a session.
    Keystroke(KeystrokeEvent),
    /// A finding that somebody should look at.
    Alert(Box<AlertEvent>),
}

/// A session and what is said of it.
#[derive(Clone, Debug)]
pub struct SessionEvent {
    /// What was observed.
    pub report: SessionReport,
    /// The claim that it was held against.
    pub claim: Option<ClaimEvent>,
    /// What came of that.
    pub judgement: Judgement,
}

/// The claim of a session.
#[derive(Clone, Debug, PartialEq)]
pub struct ClaimEvent {
    /// Who claims.
    pub identity: String,
    /// The claimed places that held when the session began.
    pub places: Vec<Place>,
    /// Which of them was judged: the one that fits best.
    pub matched_place: Option<Place>,
    /// Great circle from the sensor to that place, by way of its gateway, in kilometres.
    pub distance_km: Option<f64>,
    /// What led to the claim: `claims line N`, where it stands, or `leases line N`.
    pub source: String,
    /// SHA-256 of the claims file.
    pub claims_sha256: String,
    /// Findings that the claims allow, which are no alert, and where they do.
    pub allowed: Vec<(&'static str, String)>,
}

/// One keystroke.
#[derive(Clone, Copy, Debug)]
pub struct KeystrokeEvent {
    /// Its session.
    pub session: SessionId,
    /// The keystroke.
    pub keystroke: Keystroke,
    /// The last client-side round trip before it became known.
    pub client_rtt: Option<Span>,
}

/// An alert: one finding of one session.
#[derive(Clone, Debug)]
pub struct AlertEvent {
    /// Stable over runs: a hash of the five-tuple, the client's initial sequence number (or the first frame's time, where the
    /// SYN was not seen) and the finding.
    pub id: String,
    /// 0, then one more each time that the finding escalates.
    pub revision: u32,
    /// Alerts of the same matter that the cool-down held back since the last one.
    pub repeats: u64,
    /// When it was raised, in capture time.
    pub time: Timestamp,
    /// The session.
    pub session: SessionId,
    /// Community ID of the session.
    pub community_id: String,
    /// Its application protocol.
    pub protocol: Option<&'static str>,
    /// When the session began.
    pub start: Timestamp,
    /// Who claims.
    pub claim: ClaimEvent,
    /// Both endpoints, by role.
    pub endpoints: PerSide<Endpoint>,
    /// The finding.
    pub finding: Finding,
    /// How good the session's capture is.
    pub quality: Quality,
    /// The headers of the session's frames, where they were kept.
    pub slice: Option<Arc<Slice>>,
}

/// The last record of a run.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// What the engine counted.
    pub counters: Counters,
    /// How often the sensor's clock was set forwards, as far as that shows.
    pub clock_set_forwards: u32,
    /// Sessions reported; other flows are not among them.
    pub sessions: u64,
    /// Alerts raised.
    pub alerts: u64,
    /// Alerts that the cool-down held back.
    pub alerts_held: u64,
    /// Sessions by verdict: `implausible`.
    pub implausible: u64,
    /// How long the run took, in seconds of the wall clock.
    pub elapsed_s: f64,
    /// Frames that a live sensor did not get to see.
    pub lost: Lost,
    /// Each input and how it went.
    pub inputs: Vec<InputSummary>,
}

impl Summary {
    /// How often the sensor's clock was set, as far as that shows.
    #[must_use]
    pub const fn clock_steps(&self) -> u32 {
        self.counters.clock_steps.saturating_add(self.clock_set_forwards)
    }

    /// Copies of frames.
    #[must_use]
    pub const fn duplicated(&self) -> u64 {
        self.counters.duplicated + self.counters.duplicated_fragments
    }
}

/// Frames that did not come to the engines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    /// For want of room in the kernel's ring.
    pub kernel: u64,
    /// By the interface or its driver.
    pub interface: u64,
    /// Bulk payload that was left out because the sensor was behind.
    pub shed_bulk: u64,
    /// Other frames of flows that are no established sessions, left out because it was further behind.
    pub shed_new: u64,
}

/// One input of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputSummary {
    /// Path as given; `-` for standard input.
    pub path: String,
    /// How it ended.
    pub status: InputState,
    /// What went wrong, if anything did; of a file that was skipped, what it is instead of a capture.
    pub error: Option<String>,
    /// Frames that were read all the same.
    pub frames: u64,
}

/// How an input ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum InputState {
    /// Read to its end.
    Ok,
    /// In a folder beside captures, and none itself.
    Skipped,
    /// Not read, or not to its end.
    Error,
}

impl SessionEvent {
    /// The verdict.
    #[must_use]
    pub const fn verdict(&self) -> Verdict {
        self.judgement.verdict
    }
}
