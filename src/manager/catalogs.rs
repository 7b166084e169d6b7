//! The OLM catalogs of hosted clusters that say something about them: nobody else's are ever read.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::case::Case;
use super::context::Context;
use super::options::OlmCatalogs;
use crate::hosted::catalogs::compare::{Difference, compare};
use crate::hosted::catalogs::wishes::{CatalogWishes, Wanted, wishes};
use crate::hosted::catalogs::{Handling, verdict};
use crate::hosted::report::Verdict;
use crate::management::apply::WriteError;
use hypermirror_api::ClusterKey;

/// Between two looks at catalogs that are as they should be.
const IDLE: Duration = Duration::from_mins(5);
/// Between two looks while stock HyperShift has its time.
const BUSY: Duration = Duration::from_secs(2);
/// After how many writes that did not last somebody is said to fight them; three objects are written at once.
const TRIES: u32 = 9;
/// The longest time that a contested catalog is left alone.
const TRUCE: Duration = Duration::from_hours(1);

/// What is remembered between two looks.
#[derive(Debug)]
struct Memory {
    wanted: Wanted,
    /// Since when the present differences stand.
    differs: Option<(Vec<Difference>, Instant)>,
    /// When they were last read.
    looked: Instant,
    /// How often they were written for the present wish without standing for long.
    tries: u32,
    written: Option<Instant>,
}

/// What is remembered of all hosted clusters.
#[derive(Debug, Default)]
pub struct Catalogs(Mutex<HashMap<ClusterKey, Memory>>);

impl Catalogs {
    fn memories(&self) -> MutexGuard<'_, HashMap<ClusterKey, Memory>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets a hosted cluster that is gone, or says nothing about its catalogs.
    pub fn forget(&self, key: &ClusterKey) {
        self.memories().remove(key);
    }

    /// How long what was found to be right need not be read again.
    fn rests(&self, key: &ClusterKey, wanted: &Wanted) -> Option<Duration> {
        let memories = self.memories();
        let known = memories.get(key).filter(|known| known.wanted == *wanted && known.differs.is_none())?;
        IDLE.checked_sub(known.looked.elapsed()).filter(|left| !left.is_zero())
    }

    /// Notes what was found; answers how long it has to be left to stock HyperShift, and how often it was written in vain.
    fn note(&self, key: &ClusterKey, wanted: &Wanted, found: &[Difference], patience: Duration) -> (Duration, u32) {
        let now = Instant::now();
        let mut memories = self.memories();
        let known = memories.remove(key).filter(|known| known.wanted == *wanted);
        let (before, mut tries, written) =
            known.map_or((None, 0, None), |known| (known.differs, known.tries, known.written));
        if written.is_none_or(|written| written.elapsed() > TRUCE) {
            tries = 0;
        }
        let since = before.filter(|(before, _)| before == found).map_or(now, |(_, since)| since);
        let differs = (!found.is_empty()).then(|| (found.to_vec(), since));
        let wait = patience.saturating_mul(2_u32.saturating_pow(tries / 3)).min(TRUCE.max(patience));
        memories.insert(key.clone(), Memory { wanted: wanted.clone(), differs, looked: now, tries, written });
        (wait.saturating_sub(now.duration_since(since)), tries)
    }

    fn note_write(&self, key: &ClusterKey) {
        if let Some(known) = self.memories().get_mut(key) {
            known.tries = known.tries.saturating_add(1);
            known.written = Some(Instant::now());
        }
    }
}

/// Looks at the catalogs, writes what stock HyperShift has left different for long enough, and says what it comes to; none
/// where nothing is annotated about them.
pub(super) async fn look(ctx: &Context, case: &Case) -> Option<Verdict> {
    let key = &case.key;
    let wishes = wishes(&case.object).filter(|_| !case.leaving);
    let Some(wishes) = wishes else {
        ctx.catalogs.forget(key);
        return None;
    };
    if let Some(refused) = case.refused() {
        // The catalogs there are another one's: they are not even read.
        ctx.catalogs.forget(key);
        return Some(refused.clone());
    }
    if wishes.wanted == Wanted::Nothing {
        ctx.catalogs.forget(key);
        return Some(verdict(&wishes, &[], &Handling::Waiting));
    }
    if let Some(rest) = ctx.catalogs.rests(key, &wishes.wanted) {
        ctx.queue.add_after(key.clone(), rest);
        return Some(verdict(&wishes, &[], &Handling::Waiting));
    }
    let (differences, handling) = match bring_about(ctx, case, &wishes).await {
        Ok(outcome) => outcome,
        Err(error) => (Vec::new(), Handling::Failed(error.to_string())),
    };
    let pause = match handling {
        Handling::Waiting if differences.is_empty() => IDLE,
        Handling::Waiting => BUSY,
        Handling::Left(_) | Handling::Failed(_) => ctx.settings.catalog_patience.clamp(BUSY, IDLE),
    };
    ctx.queue.add_after(key.clone(), pause);
    Some(verdict(&wishes, &differences, &handling))
}

/// The differences that remain, and what becomes of them.
async fn bring_about(
    ctx: &Context,
    case: &Case,
    wishes: &CatalogWishes,
) -> Result<(Vec<Difference>, Handling), WriteError> {
    let namespace = case.key.control_plane_namespace();
    let patience = ctx.settings.catalog_patience;
    let differences = find(ctx, case, wishes).await?;
    let (left, tries) = ctx.catalogs.note(&case.key, &wishes.wanted, &differences, patience);
    if differences.is_empty() {
        return Ok((differences, Handling::Waiting));
    }
    if !left.is_zero() {
        ctx.queue.add_after(case.key.clone(), left);
        let is_contested = tries >= TRIES;
        let why = || "another client reverts the change repeatedly; the next attempt is delayed".to_owned();
        return Ok((differences, if is_contested { Handling::Left(why()) } else { Handling::Waiting }));
    }
    let patched = || differences.iter().filter_map(|found| Some((found.object, found.patch.as_ref()?)));
    let why_not = match &case.held {
        _ if ctx.settings.olm_catalogs == OlmCatalogs::Report => {
            Some("--olm-catalogs=report: hypermirror does not change it".to_owned())
        }
        Some(held) => Some(held.message.clone()),
        None if patched().next().is_none() => Some("nothing is written".to_owned()),
        None if !ctx.may_write_for(&case.key) => Some("another instance leads".to_owned()),
        None => None,
    };
    if let Some(why) = why_not {
        return Ok((differences, Handling::Left(why)));
    }
    for (object, patch) in patched() {
        match ctx.writer.patch_catalog(&namespace, object, patch).await {
            Ok(()) => ctx.catalogs.note_write(&case.key),
            // It moved meanwhile, which may have been stock HyperShift: it is looked at again.
            Err(WriteError::Conflict { .. } | WriteError::Gone { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    let differences = find(ctx, case, wishes).await?;
    ctx.catalogs.note(&case.key, &wishes.wanted, &differences, patience);
    Ok((differences, Handling::Waiting))
}

async fn find(ctx: &Context, case: &Case, wishes: &CatalogWishes) -> Result<Vec<Difference>, WriteError> {
    let namespace = case.key.control_plane_namespace();
    let objects = ctx.writer.read_catalogs(&namespace, &wishes.wanted).await?;
    Ok(compare(&wishes.wanted, &objects))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hosted::catalogs::Catalog;
    use crate::hosted::catalogs::compare::CatalogObject;

    fn found(catalog: Catalog) -> Vec<Difference> {
        let object = CatalogObject::Deployment(catalog);
        vec![Difference { object, images: Vec::new(), is_triggered: true, patch: None }]
    }

    fn wanted(registry: &str) -> Wanted {
        Wanted::Registries(vec![registry.to_owned()])
    }

    #[test]
    fn stock_hypershift_has_its_time_from_the_last_thing_that_moved() {
        let (catalogs, key, patience) = (Catalogs::default(), "a/b".parse().unwrap(), Duration::from_secs(30));
        let note = |wanted: &Wanted, found: &[Difference], patience| catalogs.note(&key, wanted, found, patience);
        assert_eq!(note(&wanted("x"), &found(Catalog::Redhat), patience), (patience, 0));
        assert!(note(&wanted("x"), &found(Catalog::Redhat), patience).0 < patience, "it goes by");
        assert_eq!(note(&wanted("x"), &found(Catalog::Certified), patience).0, patience, "something else differs");
        assert_eq!(note(&wanted("y"), &found(Catalog::Certified), patience).0, patience, "something else is wanted");
        assert_eq!(note(&wanted("y"), &found(Catalog::Certified), Duration::ZERO).0, Duration::ZERO);
    }

    #[test]
    fn what_was_right_is_not_read_again_at_once_unless_something_else_is_wanted() {
        let (catalogs, key) = (Catalogs::default(), "a/b".parse().unwrap());
        assert_eq!(catalogs.rests(&key, &wanted("x")), None);
        catalogs.note(&key, &wanted("x"), &[], Duration::ZERO);
        assert!(catalogs.rests(&key, &wanted("x")).is_some_and(|left| left <= IDLE));
        assert_eq!(catalogs.rests(&key, &wanted("y")), None);
        catalogs.note(&key, &wanted("x"), &found(Catalog::Redhat), Duration::ZERO);
        assert_eq!(catalogs.rests(&key, &wanted("x")), None, "what differs is");
        catalogs.note(&key, &wanted("x"), &[], Duration::ZERO);
        catalogs.forget(&key);
        assert_eq!(catalogs.rests(&key, &wanted("x")), None);
    }

    #[test]
    fn whoever_changes_it_back_gets_longer_each_time() {
        let (catalogs, key, patience) = (Catalogs::default(), "a/b".parse().unwrap(), Duration::from_secs(10));
        let mut waits = Vec::new();
        for _ in 0..5 {
            // It was right for a moment.
            catalogs.note(&key, &wanted("x"), &[], patience);
            waits.push(catalogs.note(&key, &wanted("x"), &found(Catalog::Redhat), patience).0.as_secs());
            (0..3).for_each(|_| catalogs.note_write(&key));
        }
        assert_eq!(waits, [10, 20, 40, 80, 160]);
        assert_eq!(catalogs.note(&key, &wanted("y"), &found(Catalog::Redhat), patience), (patience, 0));
    }
}
