//! The places in the grammar of a chunked body, and the ways between those in an extension (RFC 9112 7.1, 7.1.1).

use super::error::ChunkedError;
use super::trailers::is_field_byte;
use crate::http1::syntax::is_token_byte;

/// What the next byte is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// The first digit of a chunk size.
    Size,
    /// A digit, or what may follow a chunk size.
    SizeMore,
    /// The LF of a size line.
    SizeLf,
    /// White space seen where only `;` may follow it.
    ExtSemicolon,
    /// An extension's name, after `;`.
    ExtName,
    ExtNameMore,
    /// White space seen after an extension's name.
    ExtEquals,
    /// An extension's value, after `=`.
    ExtValue,
    ExtValueMore,
    ExtQuoted,
    ExtQuotedPair,
    /// After a closing quote.
    ExtQuotedEnd,
    /// Chunk data: `left` bytes, at least one.
    Data,
    /// The CR and the LF after chunk data.
    DataCr,
    DataLf,
    /// A trailer's name, or the CR of the empty line.
    Trailer,
    TrailerName,
    TrailerValue,
    TrailerLf,
    /// The LF of the empty line.
    FinalLf,
    End,
    Failed(ChunkedError),
}

impl State {
    pub(super) fn is_extension(self) -> bool {
        matches!(
            self,
            Self::ExtSemicolon
                | Self::ExtName
                | Self::ExtNameMore
                | Self::ExtEquals
                | Self::ExtValue
                | Self::ExtValueMore
                | Self::ExtQuoted
                | Self::ExtQuotedPair
                | Self::ExtQuotedEnd
        )
    }
}

/// RFC 9112 7.1.1: chunk-ext = *( BWS ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ] ), so that
/// white space may stand before `;` and around `=` but not before the line's end.
pub(super) fn extension(state: State, byte: u8) -> Option<State> {
    use State::*;
    Some(match (state, byte) {
        // RFC 9110 5.6.4: quoted-string; no control character but HTAB, so that no quote hides a line's end.
        (ExtQuoted, b'"') => ExtQuotedEnd,
        (ExtQuoted, b'\\') => ExtQuotedPair,
        (ExtQuoted | ExtQuotedPair, _) if is_field_byte(byte) => ExtQuoted,
        (ExtName | ExtNameMore, _) if is_token_byte(byte) => ExtNameMore,
        (ExtValue | ExtValueMore, _) if is_token_byte(byte) => ExtValueMore,
        (ExtValue, b'"') => ExtQuoted,
        (ExtName | ExtValue | ExtSemicolon | ExtEquals, b' ' | b'\t') => state,
        (ExtNameMore, b' ' | b'\t') => ExtEquals,
        (ExtValueMore | ExtQuotedEnd, b' ' | b'\t') => ExtSemicolon,
        (ExtNameMore | ExtEquals, b'=') => ExtValue,
        (ExtSemicolon | ExtNameMore | ExtEquals | ExtValueMore | ExtQuotedEnd, b';') => ExtName,
        (ExtNameMore | ExtValueMore | ExtQuotedEnd, b'\r') => SizeLf,
        _ => return None,
    })
}
