//! Who a client is, as the request says that opened its session: by a cookie, or by what a layer in front has found out.

use ::http::request::Parts;
use core::any::Any;
use core::fmt;
use std::sync::Arc;

/// The application's type, which each of its callers names again.
#[derive(Clone)]
pub(super) struct Identity(Arc<dyn Any + Send + Sync>);

impl Identity {
    pub(super) fn get<T: 'static>(&self) -> Option<&T> {
        self.0.downcast_ref()
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}

type Find = dyn Fn(&Parts) -> Option<Identity> + Send + Sync;

/// Finds it out; `None` refuses the request.
#[derive(Clone)]
pub(super) struct Identify(Arc<Find>);

impl Identify {
    pub(super) fn new<T: Send + Sync + 'static>(
        identify: impl Fn(&Parts) -> Option<T> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(move |request| Some(Identity(Arc::new(identify(request)?)))))
    }

    pub(super) fn of(&self, request: &Parts) -> Option<Identity> {
        (self.0)(request)
    }
}

impl fmt::Debug for Identify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identify").finish_non_exhaustive()
    }
}
