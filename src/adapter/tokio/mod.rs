//! The async adapter, over any `AsyncRead + AsyncWrite`.
