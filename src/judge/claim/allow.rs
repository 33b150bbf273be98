//! What is known and needs no alert: `[[allow]]` of a claims file.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::time::Timestamp;

/// Every finding that there is or may be.
pub const FINDINGS: [&str; 12] = [
    "rtt_below_claim",
    "rtt_above_claim",
    "relay_before_client",
    "remote_hand",
    "remote_control_alongside",
    "stepping_stone",
    "scripted_input",
    "rtt_shift",
    "hours_mismatch",
    "keyboard_mismatch",
    "two_places",
    "shared_origin",
];

/// Findings that are no alert for some sessions. They stand all the same, and so does the verdict.
#[derive(Clone, Debug, Default)]
pub struct Allowance {
    /// The findings.
    pub findings: Vec<String>,
    /// Of whom; empty for anybody.
    pub identities: Vec<String>,
    /// From where; empty for anywhere.
    pub clients: Vec<IpNet>,
    /// To where; empty for anywhere.
    pub servers: Vec<IpNet>,
    /// Sessions that begin from here on.
    pub from: Option<Timestamp>,
    /// Sessions that begin before.
    pub to: Option<Timestamp>,
    /// Line of the file, from 1.
    pub line: usize,
}

impl Allowance {
    /// Whether it is about a finding of a session.
    #[must_use]
    pub fn covers(&self, finding: &str, identity: &str, client: IpAddr, server: IpAddr, start: Timestamp) -> bool {
        let within = |nets: &[IpNet], ip: IpAddr| nets.is_empty() || nets.iter().any(|net| net.contains(&ip));
        self.findings.iter().any(|one| one == finding)
            && (self.identities.is_empty() || self.identities.iter().any(|one| one == identity))
            && within(&self.clients, client)
            && within(&self.servers, server)
            && self.from.is_none_or(|from| start >= from)
            && self.to.is_none_or(|to| start < to)
    }
}
