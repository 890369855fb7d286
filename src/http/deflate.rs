//! The negotiation of permessage-deflate (RFC 7692 §7) as offer and answer show it.

use crate::stream::Side;

/// The parameters in force on a connection with permessage-deflate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Deflate {
    /// The server starts every message with an empty window.
    pub server_no_context_takeover: bool,
    /// The client starts every message with an empty window.
    pub client_no_context_takeover: bool,
    /// Base-2 logarithm of the server's window in bytes, 8 to 15.
    pub server_max_window_bits: u8,
    /// Base-2 logarithm of the client's window in bytes, 8 to 15.
    pub client_max_window_bits: u8,
}

/// What is known about compression after the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Compression {
    /// The answer agrees on none.
    Off,
    /// The answer agrees on permessage-deflate with these parameters, whether or not it was allowed to.
    On(Deflate),
    /// The answer's head was cut before it told.
    Unknown,
}

/// Something illegal in the negotiation of an extension, named for the deed; [`Violation::by`] names the doer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Who did it.
    pub by: Side,
    /// What.
    pub deed: Deed,
    /// The parameter or, for [`Deed::ExtensionNotOffered`] and [`Deed::ExtensionRepeated`], the extension.
    pub name: Box<str>,
    /// Its value as sent.
    pub value: Option<Box<str>>,
}

/// What was done against RFC 6455 §9.1 or RFC 7692 §7.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Deed {
    /// A parameter that permessage-deflate does not define (RFC 7692 §7).
    UnknownParameter,
    /// The same parameter twice (RFC 7692 §7).
    DuplicateParameter,
    /// A value on a parameter that takes none (RFC 7692 §7.1.1).
    ValueNotAllowed,
    /// No value where one is needed (RFC 7692 §7.1.2).
    ValueMissing,
    /// Window bits that are no plain decimal number from 8 to 15 (RFC 7692 §7.1.2).
    BitsOutOfRange,
    /// The answer switches on an extension that was not offered (RFC 6455 §4.1, step 5 on the answer).
    ExtensionNotOffered,
    /// The answer accepts permessage-deflate more than once (RFC 7692 §5).
    ExtensionRepeated,
    /// The answer sets `client_max_window_bits`, which no offer mentioned (RFC 7692 §7.1.2.2).
    ParameterNotOffered,
    /// The answer grants more window bits than the offer, or leaves the offered bound out (RFC 7692 §7.1.2).
    BitsAboveOffer,
    /// The offer demands `server_no_context_takeover` and the answer leaves it out (RFC 7692 §7.1.1.1).
    DemandIgnored,
}
