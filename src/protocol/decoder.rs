//! The decoder of one session, whatever its protocol: told apart by the first bytes.

use serde::{Deserialize, Serialize};

use super::{
    Standing, blind,
    blind::Blind,
    carrier::{Carried, Carrier},
    datagram,
    datagram::Datagrams,
    families,
    families::Families,
    identify, rdp,
    rdp::Rdp,
    rlogin,
    rlogin::Rlogin,
    spice,
    spice::Spice,
    ssh,
    ssh::Ssh,
    telnet,
    telnet::Telnet,
    vnc,
    vnc::Vnc,
    x11,
    x11::X11,
};
use crate::{
    cue::Cue,
    flow::{Data, PerSide, Side},
    time::Span,
};

/// An application protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// SSH.
    Ssh,
    /// RDP over TCP.
    Rdp,
    /// VNC, the remote framebuffer protocol.
    Vnc,
    /// Telnet.
    Telnet,
    /// rlogin.
    Rlogin,
    /// The X Window System.
    X11,
    /// SPICE.
    Spice,
    /// Whatever a proxy carries.
    Carried,
    /// One of the products in the table of families.
    Family,
}

/// What was read of a session in clear.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Facts {
    /// Of SSH.
    Ssh(Box<ssh::Facts>),
    /// Of RDP.
    Rdp(Box<rdp::Facts>),
    /// Of VNC.
    Vnc(Box<vnc::Facts>),
    /// Of Telnet.
    Telnet(Box<telnet::Facts>),
    /// Of rlogin.
    Rlogin(Box<rlogin::Facts>),
    /// Of the X Window System.
    X11(x11::Facts),
    /// Of a channel of SPICE.
    Spice(Box<spice::Facts>),
    /// Of a product in the table of families.
    Family(Box<families::Facts>),
    /// Of mosh.
    Mosh(datagram::MoshFacts),
    /// Of a session whose protocol is not known.
    Blind(blind::Facts),
    /// Of RDP's second transport.
    RdpUdp(Box<datagram::RdpFacts>),
}

impl Facts {
    /// The protocol that they are of, as records name it.
    #[must_use]
    pub fn protocol(&self) -> &'static str {
        match self {
            Self::Ssh(_) => "ssh",
            Self::Rdp(_) => "rdp",
            Self::Vnc(_) => "vnc",
            Self::Telnet(_) => "telnet",
            Self::Rlogin(_) => "rlogin",
            Self::X11(_) => "x11",
            Self::Spice(_) => "spice",
            Self::Family(facts) => &facts.mark.protocol,
            Self::Mosh(_) => "mosh",
            Self::Blind(facts) => facts.protocol(),
            Self::RdpUdp(_) => "rdp",
        }
    }
}

impl Facts {
    /// Replaces every name of a person or a machine by what `rename` makes of its kind and of it.
    pub fn rename(&mut self, rename: impl Fn(&str, &str) -> String) {
        let bytes = |kind: &str, name: &mut Option<Vec<u8>>| {
            if let Some(name) = name {
                *name = rename(kind, &String::from_utf8_lossy(name)).into_bytes();
            }
        };
        match self {
            Self::Ssh(_) | Self::Telnet(_) | Self::X11(_) | Self::Mosh(_) | Self::Blind(_) | Self::RdpUdp(_) => {}
            Self::Spice(facts) => bytes("desktop", &mut facts.name),
            Self::Rlogin(facts) => {
                bytes("user", &mut facts.client_user);
                bytes("user", &mut facts.server_user);
            }
            Self::Rdp(facts) => {
                bytes("cookie", &mut facts.cookie);
                bytes("token", &mut facts.routing_token);
                if let Some(client) = &mut facts.client {
                    client.name = rename("host", &client.name);
                }
                facts.tls.iter_mut().for_each(|tls| bytes("host", &mut tls.server_name));
            }
            Self::Vnc(facts) => {
                bytes("desktop", &mut facts.desktop_name);
                facts.tls.iter_mut().for_each(|tls| bytes("host", &mut tls.server_name));
            }
            Self::Family(facts) => {
                facts.tls.iter_mut().for_each(|tls| bytes("host", &mut tls.server_name));
                bytes("host", &mut facts.name);
            }
        }
    }
}

/// Decoder of one session, both directions.
#[expect(clippy::large_enum_variant, reason = "most sessions are SSH, and each of their packets looks here")]
#[derive(Clone, Debug)]
pub enum Decoder {
    /// Nothing was read yet; which side was captured from its beginning.
    Unread(PerSide<bool>),
    /// SSH.
    Ssh(Ssh),
    /// RDP.
    Rdp(Box<Rdp>),
    /// VNC.
    Vnc(Box<Vnc>),
    /// Telnet.
    Telnet(Box<Telnet>),
    /// rlogin.
    Rlogin(Box<Rlogin>),
    /// The X Window System.
    X11(Box<X11>),
    /// SPICE.
    Spice(Box<Spice>),
    /// A product in the table of families.
    Family(Box<Families>),
    /// One of them, through proxies.
    Carried(Box<Carried>),
    /// What is known by its behaviour alone.
    Blind(Blind),
    /// Anything over UDP.
    Datagrams(Box<Datagrams>),
}

impl Decoder {
    /// Of a session of which nothing was read; `from_start` says which side was captured from its beginning.
    #[must_use]
    pub const fn new(from_start: PerSide<bool>) -> Self {
        Self::Unread(from_start)
    }

    /// Of an SSH session whose beginning was not captured.
    #[must_use]
    pub fn midstream() -> Self {
        Self::Ssh(Ssh::midstream())
    }

    /// How sure it is that the session is of its protocol.
    #[must_use]
    pub fn standing(&self) -> Standing {
        match self {
            Self::Unread(_) => Standing::Candidate,
            Self::Ssh(ssh) => ssh.standing(),
            Self::Rdp(rdp) => rdp.standing(),
            Self::Vnc(vnc) => vnc.standing(),
            Self::Telnet(telnet) => telnet.standing(),
            Self::Rlogin(rlogin) => rlogin.standing(),
            Self::X11(x11) => x11.standing(),
            Self::Spice(spice) => spice.standing(),
            Self::Family(families) => families.standing(),
            Self::Carried(carried) => carried.standing(),
            Self::Datagrams(datagrams) => datagrams.standing(),
            Self::Blind(blind) => blind.standing(),
        }
    }

    /// Whether this session's keys can be told at all.
    #[must_use]
    pub fn keys_known(&self) -> bool {
        match self {
            Self::Unread(_) | Self::Family(_) | Self::Datagrams(_) => false,
            Self::Blind(_) => true,
            Self::Ssh(ssh) => ssh.lengths_known(),
            Self::Rdp(rdp) => rdp.keys_known(),
            Self::Vnc(vnc) => vnc.keys_known(),
            Self::Telnet(telnet) => telnet.keys_known(),
            Self::Rlogin(rlogin) => rlogin.keys_known(),
            Self::X11(x11) => x11.keys_known(),
            Self::Spice(spice) => spice.keys_known(),
            Self::Carried(carried) => carried.inner().keys_known(),
        }
    }

    /// Whether the protocol shows keys on their way down and up, and not what a terminal makes of them.
    #[must_use]
    pub fn shows_releases(&self) -> bool {
        match self {
            Self::Rdp(_) | Self::Vnc(_) | Self::X11(_) | Self::Spice(_) => true,
            Self::Carried(carried) => carried.inner().shows_releases(),
            _ => false,
        }
    }

    /// Whether nothing but its behaviour says what this is.
    #[must_use]
    pub const fn is_blind(&self) -> bool {
        matches!(self, Self::Blind(_))
    }

    /// Whether nothing of an SSH session can be told apart any more.
    #[must_use]
    pub fn is_unreadable(&self) -> bool {
        match self {
            Self::Ssh(ssh) => ssh.is_unreadable(),
            Self::Carried(carried) => carried.inner().is_unreadable(),
            _ => false,
        }
    }

    /// Whether nothing more is read in clear: neither what this is nor who is who will change.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        match self {
            Self::Ssh(ssh) => ssh.is_settled(),
            Self::Carried(carried) => carried.is_settled(),
            _ => false,
        }
    }

    /// Whether it matters what segments carry, besides how much it is.
    #[must_use]
    pub fn reads_bytes(&self) -> bool {
        match self {
            Self::Ssh(ssh) => ssh.reads_bytes(),
            Self::Carried(carried) => carried.reads_bytes(),
            _ => true,
        }
    }

    /// Whether what was said shows that client and server are the other way round; asked once, it swaps its own roles.
    pub fn take_role_swap(&mut self) -> bool {
        match self {
            Self::Ssh(ssh) => ssh.take_role_swap(),
            Self::Vnc(vnc) => vnc.take_role_swap(),
            Self::X11(x11) => x11.take_role_swap(),
            Self::Carried(carried) => carried.take_role_swap(),
            _ => false,
        }
    }

    /// Whether the roles rest on what the two ends said.
    #[must_use]
    pub fn roles_known(&self) -> bool {
        match self {
            Self::Unread(_) | Self::Telnet(_) | Self::Rlogin(_) | Self::Family(_) | Self::Blind(_) => false,
            Self::Ssh(ssh) => ssh.roles_known(),
            Self::Rdp(rdp) => rdp.roles_known(),
            Self::Vnc(vnc) => vnc.roles_known(),
            Self::X11(x11) => x11.roles_known(),
            Self::Spice(spice) => spice.roles_known(),
            Self::Carried(carried) => carried.inner().roles_known(),
            Self::Datagrams(datagrams) => datagrams.roles_known(),
        }
    }

    /// What was read in clear; `None` before anything was.
    #[must_use]
    pub fn facts(&self) -> Option<Facts> {
        Some(match self {
            Self::Unread(_) => return None,
            Self::Ssh(ssh) => Facts::Ssh(Box::new(ssh.facts())),
            Self::Rdp(rdp) => Facts::Rdp(Box::new(rdp.facts())),
            Self::Vnc(vnc) => Facts::Vnc(Box::new(vnc.facts())),
            Self::Telnet(telnet) => Facts::Telnet(Box::new(telnet.facts())),
            Self::Rlogin(rlogin) => Facts::Rlogin(Box::new(rlogin.facts())),
            Self::X11(x11) => Facts::X11(x11.facts()),
            Self::Spice(spice) => Facts::Spice(Box::new(spice.facts())),
            Self::Family(families) => Facts::Family(Box::new(families.facts()?)),
            Self::Carried(carried) => return carried.facts(),
            Self::Datagrams(datagrams) => return datagrams.facts(),
            Self::Blind(blind) => Facts::Blind(blind.facts()),
        })
    }

    /// The proxies that the session passes, as far as the client asked for them; none where nothing was seen of any.
    #[must_use]
    pub fn carriers(&self) -> Vec<Carrier> {
        match self {
            Self::Carried(carried) => carried.carriers(),
            _ => Vec::new(),
        }
    }

    /// Takes the next bytes of one side and adds what they mean to `cues`. `rtt` is the client-side round trip, where known.
    pub fn on_data(&mut self, side: Side, data: &Data<'_>, rtt: Option<Span>, cues: &mut Vec<Cue>) {
        match self {
            Self::Unread(from_start) => {
                *self = match identify::protocol(data.bytes, side) {
                    Some(Protocol::Rdp) => Self::Rdp(Box::default()),
                    Some(Protocol::Vnc) => Self::Vnc(Box::default()),
                    Some(Protocol::Telnet) => Self::Telnet(Box::default()),
                    Some(Protocol::Rlogin) => Self::Rlogin(Box::default()),
                    Some(Protocol::X11) => Self::X11(Box::default()),
                    Some(Protocol::Spice) => Self::Spice(Box::default()),
                    Some(Protocol::Family) => Self::Family(Box::default()),
                    Some(Protocol::Carried) => Self::Carried(Box::default()),
                    Some(Protocol::Ssh) | None => Self::Ssh(Ssh::new(*from_start)),
                };
                self.on_data(side, data, rtt, cues);
            }
            Self::Ssh(ssh) => ssh.on_data(side, data, rtt, cues),
            Self::Rdp(rdp) => rdp.on_data(side, data, cues),
            Self::Vnc(vnc) => vnc.on_data(side, data, cues),
            Self::Telnet(telnet) => telnet.on_data(side, data, cues),
            Self::Rlogin(rlogin) => rlogin.on_data(side, data, cues),
            Self::X11(x11) => x11.on_data(side, data, cues),
            Self::Spice(spice) => spice.on_data(side, data, cues),
            Self::Family(families) => families.on_data(side, data),
            Self::Carried(carried) => carried.on_data(side, data, rtt, cues),
            Self::Datagrams(datagrams) => datagrams.on_datagram(side, data, cues),
            Self::Blind(blind) => blind.on_data(side, data, cues),
        }
    }

    /// Bytes of one side were not captured.
    pub fn on_gap(&mut self, side: Side, cues: &mut Vec<Cue>) {
        match self {
            Self::Unread(from_start) => {
                *self = Self::Ssh(Ssh::new(*from_start));
                self.on_gap(side, cues);
            }
            Self::Ssh(ssh) => ssh.on_gap(side, cues),
            Self::Rdp(rdp) => rdp.on_gap(side),
            Self::Vnc(vnc) => vnc.on_gap(side),
            Self::Telnet(telnet) => telnet.on_gap(side),
            Self::Rlogin(rlogin) => rlogin.on_gap(),
            Self::X11(x11) => x11.on_gap(side),
            Self::Spice(spice) => spice.on_gap(side),
            Self::Family(families) => families.on_gap(),
            Self::Carried(carried) => carried.on_gap(side, cues),
            Self::Datagrams(_) | Self::Blind(_) => {}
        }
    }
}
