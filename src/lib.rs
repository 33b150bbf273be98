//! keywitness bears witness to typing: it reads captures, recognises SSH, RDP and VNC sessions, recovers the timing of every
//! keystroke and every round trip, and says whether that timing fits the place that the session claims to come from.
//!
//! It watches people, so it is built to be fair. It keeps timing and never what was typed; each finding names its
//! numbers, its basis and what else could explain it; without evidence it says `undecided`; and a wrong accusation is the
//! worst bug there can be.
//!
//! # The picture
//! The folders are the pipeline, in this order:
//!
//! ```text
//!  frames in batches                                            claims, leases
//!      │                                                            │
//!  capture ─▶ ┌ wire ─▶ flow ─▶ protocol ┐                          ▼
//!             │          │      cue ▼    ├─▶ observation ─▶ judge ◀─ correlator ─▶ event ─▶ output
//!             │          └────▶ measure  ┘                                           (table, NDJSON)
//!             └ engine ─────────────────┘
//!      run::offline or run::live drives (run::replay and run::doctor stand alone); everything between capture and output is pure
//! ```
//!
//! * [`time`]: capture time in integer nanoseconds; there is no `now()`.
//! * [`capture`]: pcap and pcapng files and streams, also compressed, and folders of them; several inputs merged by time. Hands
//!   on batches of frames by reference. [`capture::live`] does so for interfaces, with a thread each.
//! * [`wire`]: bytes to views: link types, tags, labels and tunnels, IP with extension headers, TCP with options.
//! * [`flow`]: which packets belong together, and which fragments of one; which end is the client and on what evidence, streams with gaps.
//! * [`cue`]: the words that `protocol` and `measure` share.
//! * [`protocol`]: what a session's bytes and lengths say: [`protocol::ssh`], [`protocol::rdp`], [`protocol::vnc`], and [`protocol::tls`]
//!   around them.
//! * [`measure`]: round trips split at the sensor, and keystrokes.
//! * [`evidence`]: headers of a session's frames, kept for whoever doubts an alert.
//! * [`pseudonym`]: what stands for addresses and identities in everything that leaves the correlator, where that is asked for.
//! * [`observation`]: what leaves an engine, keyed so that several engines' merge into one order.
//! * [`engine`]: owns the flows; `handle_batch` in, `poll_observation` out.
//! * [`judge`]: claims, places, the delay model, one file a finding, the verdict.
//! * [`correlator`]: owns whatever spans flows and alone makes events ([`event`]).
//! * [`output`]: events to bytes; [`output::escape`] is the one door for strings from the network.
//! * [`output::alert`]: an alert in the formats of those that collect logs.
//! * [`run`]: clocks, files, standard streams, signals, exit codes; [`run::spool`] keeps alerts on disk, [`run::deliver`] sends them; of a sensor also [`run::guard`] (least privilege),
//!   [`run::metrics`], [`run::health`] and [`run::service`]. [`cli`] is what can be typed, [`config`] what it means.
//!
//! # Invariants
//! `tests/tidy.rs` enforces the first three.
//!
//! 1. Nothing points backwards: `time < wire < flow < cue < protocol | measure < observation < engine`, and
//!    `observation < judge < event < correlator`; `pseudonym` and `evidence` stand before `observation`. `protocol` and
//!    `measure` do not know each other; the engine carries cues from one to the other. `capture` sees `time` and `wire`;
//!    `output` what events hold; only `run` sees everything.
//! 2. Between `capture` and `output` there is no clock, no I/O, no thread, no lock. The same capture gives the same records.
//! 3. There is no `unsafe`, but for one question to libpcap in [`capture::live`] and the prefetch of the flow table.
//! 4. The only time is capture time. *Stream time* is its running maximum in reader order: deadlines up to it fire before the
//!    frame that moves it on. A late frame is handled at its own time and fires nothing. On a quiet live link the clock of the
//!    taps, less a hold-back, moves stream time on; in how many steps it moves makes no difference to what is observed.
//! 5. Two stages: an engine owns flows and emits observations; one correlator owns all that spans flows and alone
//!    emits records.
//! 6. Every observation is keyed by (frame number, deadline, session, position), so that the order of records does not depend
//!    on how many engines there are.
//! 7. Gaps are input. What was not captured is told to whoever reads the stream; nobody guesses across it.
//! 8. Every table has a cap, an age and a counter of what it dropped. Sessions are evicted last.
//! 9. A flow that is not identified costs a few hundred bytes: counters and sequence state, no history. Only where such flows are
//!    reported too, the smallest of their round trips is kept, for some 300 bytes more. Histograms exist for sessions only. Nothing is allocated and no string is made per packet, IP fragments aside.
//! 10. Bytes from the wire never panic: arithmetic on them wraps or is checked, and no index is taken without a look.
//! 11. Strings from the network are hostile until [`output::escape`] has written them out.
//! 12. Claims are matched by real addresses in the correlator; with a key to pseudonymize, no event holds any.
//! 13. Key identities are never stored. SSH does not show them; where a protocol does, they do not enter a buffer: only a message's
//!     first bytes, in front of the key's name, are looked at.
//! 14. Round trips and intervals are [`time::Span`]; milliseconds as floats exist in `output` and in models only.
//!
//! # Vocabulary
//! * **Frame**: captured bytes and their time. **Segment**: one TCP segment. **Flow**: one five-tuple's life.
//! * **Side**: client or server. The client is the end that types, with the **evidence** for it.
//! * **Session**: a flow that was identified. **Gap**: bytes of a stream that were not captured.
//! * **Record**: in `protocol::ssh` an encrypted packet, or a segment that may hold several; in `protocol::tls` one of TLS.
//! * **Slice**: the headers of one flow's frames.
//! * **Cue**: what a protocol tells the measurers: input, output, keys, what is known of the terminal.
//! * **Carrier**: a proxy that the client asked in clear to connect it; its stream goes on inside.
//! * **Keystroke**: a press, a repeat of a held key, a paste, or where the protocol shows it a release. **Silent**: without echo. **Hidden run**: four or more silent
//!   characters in a row, such as a password: counted, not timed. **Chaff**: messages that hide keystrokes.
//! * **Floor**: the smallest round trip that is no accident.
//! * **Observation**: what an engine says. **Claim**: what an identity says. **Lease**: who had an address when. **Test**: one
//!   comparison of measurement and claim. **Finding**: a test that failed, with its numbers. **Verdict**: the answer over all tests.
//!
//! # What is known, measured, inferred
//! *Known*: what a protocol says in clear (versions, algorithms, names, keys of VNC). *Measured*: round trips and arrival times, at the sensor.
//! *Inferred* from lengths, timing and echoes: the end of the login, whether there is a terminal, keystrokes and their class. The
//! round trip bounds how far away a client can be; it says nothing of how near it is.

pub mod capture;
pub mod cli;
pub mod config;
pub mod correlator;
pub mod cue;
pub mod engine;
pub mod event;
pub mod evidence;
pub mod flow;
pub mod judge;
pub mod measure;
pub mod observation;
pub mod output;
pub mod protocol;
pub mod pseudonym;
pub mod run;
pub mod time;
pub mod wire;
