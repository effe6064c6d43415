//! Where a request goes: to a pool or to one worker, unless the handles that it carries lead it elsewhere.

use crate::beam::Raw;
use crate::handle::Home;
use crate::incarnation::Incarnation;
use crate::lease::Access;
use crate::pool::Pool;
use std::sync::Arc;

/// The request can carry no handles: it must be free to go anywhere.
const NO_HANDLES: u64 = 1 << 16;
/// Handles must be of a worker of the target pool.
const POOL_HANDLES: u64 = 1 << 17;
/// The target worker is a preference: handles may lead the request to another.
const ANY_HANDLES: u64 = 1 << 18;

/// What a request is for.
#[derive(Clone, Copy)]
pub enum Target<'a> {
    Pool(&'a Arc<Pool>),
    Worker(&'a Arc<Incarnation>),
}

/// Where the handles of a request lead it.
pub enum Follow {
    Worker(Arc<Incarnation>),
    /// Their worker has ended.
    Down(Raw),
    /// They are of another worker than the request is for.
    Other,
}

/// The worker of the handles that a request carries, if the request may go there.
pub fn follow(target: Target<'_>, access: Access, home: &Arc<Home>, options: u64) -> Follow {
    let incarnation = home.incarnation();
    let fits = match (target, &incarnation) {
        _ if options & NO_HANDLES != 0 => false,
        (Target::Worker(worker), _) => {
            let free = options & ANY_HANDLES != 0 && !matches!(access, Access::Binding(_));
            free || Arc::ptr_eq(worker.handles(), home)
        }
        (Target::Pool(pool), Ok(worker)) => options & POOL_HANDLES == 0 || worker.pools().contains(&pool.id),
        (Target::Pool(_), Err(_)) => true,
    };
    match incarnation {
        _ if !fits => Follow::Other,
        Ok(worker) => Follow::Worker(worker),
        Err(reason) => Follow::Down(reason),
    }
}
