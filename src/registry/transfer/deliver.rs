//! Writes the manifests of an image to a destination: children first, then what is attached, and the tag at the end.

use super::super::distribution::{Fetched, Pushed};
use super::super::error::{Cause, RegistryError};
use super::super::name::Reference;
use super::super::wire::digest::Digest;
use super::image::Image;
use super::run::Context;
use super::side::{Side, is_incomplete};
use super::tree::{Role, Tree};
use super::{CopyError, Done};

impl Context {
    /// Makes an image whole at its destination. Its blobs are there.
    pub(super) async fn deliver(&self, image: &Image) -> Result<Done, CopyError> {
        let Some(side) = self.sides.get(image.side) else { return Err(CopyError::Stopped) };
        for tree in &image.content.trees {
            let Some(root) = tree.root() else { continue };
            if tree.role == Role::Image {
                self.confirm(image, tree).await?;
            }
            let place = match &tree.role {
                Role::Image => Reference::Tag(image.tag.clone()),
                Role::Tagged(tag) => Reference::Tag(tag.clone()),
                Role::Referrer(_) => Reference::Digest(root.digest.clone()),
            };
            let pushed = match self.put_tree(image, side, tree, &place).await {
                // The image is right without it, and nobody can change the tag.
                Err(CopyError::Registry(error))
                    if tree.role != Role::Image && matches!(error.cause, Cause::TagImmutable { .. }) =>
                {
                    self.warn(format!("{place}, which belongs to {}, was not copied: {error}", image.content.digest));
                    continue;
                }
                pushed => pushed?,
            };
            if let Role::Referrer(subject) = &tree.role
                && !pushed.lists_referrers
            {
                self.fallback.list(side, subject, root).await?;
            }
        }
        read_back(side, &image.tag, &image.content.digest).await?;
        Ok(Done::Copied)
    }

    /// Waits for its blobs.
    pub(super) async fn arrived(&self, image: &Image) -> Result<(), CopyError> {
        for blob in image.content.blobs() {
            let Some(arrivals) = self.arrivals.get(&blob.digest) else { continue };
            let mut arrivals = arrivals.clone();
            // A transfer that is dropped has failed.
            let arrivals = arrivals.wait_for(Option::is_some).await.map_err(|_| CopyError::Stopped)?;
            if let Some(Err(error)) = arrivals.as_ref().and_then(|all| all.get(&image.side)) {
                return Err(error.clone());
            }
        }
        Ok(())
    }

    /// Looks again for the blobs that were only found: they may be gone since. What was sent was acknowledged.
    async fn confirm(&self, image: &Image, tree: &Tree) -> Result<(), CopyError> {
        for blob in tree.blobs().filter(|blob| self.found.contains(&(image.side, blob.digest.clone()))) {
            self.going_on()?;
            let cell = self.confirmed(image.side, &blob.digest);
            cell.get_or_try_init(async || self.ensure(image.side, tree, &blob.digest).await).await?;
        }
        Ok(())
    }

    /// Sends a blob that is not there.
    async fn ensure(&self, number: usize, tree: &Tree, digest: &Digest) -> Result<(), RegistryError> {
        let Some(side) = self.sides.get(number) else { return Ok(()) };
        let Some(blob) = tree.blobs().find(|blob| blob.digest == *digest) else { return Ok(()) };
        if side.has_blob(digest, blob.size).await? {
            return Ok(());
        }
        self.write_alone(number, &self.source(blob)).await
    }

    /// Writes a tree. A registry that turns out to lack a part of it gets all of it again, once: what was found there does not
    /// count any longer.
    async fn put_tree(&self, image: &Image, side: &Side, tree: &Tree, root: &Reference) -> Result<Pushed, CopyError> {
        let error = match self.put(image.side, side, tree, root, true).await {
            Err(CopyError::Registry(error)) if is_incomplete(&error.cause) => error,
            other => return other,
        };
        for blob in tree.blobs() {
            self.going_on()?;
            self.ensure(image.side, tree, &blob.digest).await?;
        }
        match self.put(image.side, side, tree, root, false).await {
            Err(CopyError::Registry(error)) if is_incomplete(&error.cause) && tree.lacking > 0 => {
                let cause = Cause::DemandsChildren { lacking: tree.lacking };
                Err(RegistryError { cause, ..error }.into())
            }
            Err(CopyError::Registry(again)) if is_incomplete(&again.cause) => Err(error.into()),
            other => other,
        }
    }

    async fn put(
        &self,
        number: usize,
        side: &Side,
        tree: &Tree,
        root: &Reference,
        may_be_known: bool,
    ) -> Result<Pushed, CopyError> {
        let Some((last, children)) = tree.manifests.split_last() else { return Err(CopyError::Stopped) };
        for child in children {
            self.going_on()?;
            if may_be_known {
                let cell = self.written(number, &child.digest);
                cell.get_or_try_init(async || side.write_manifest(child).await.map(|_| ())).await?;
            } else {
                side.write_manifest(child).await?;
            }
        }
        self.going_on()?;
        // From here on nobody stops it.
        Ok(match root {
            Reference::Tag(tag) => self.tag(side, tag, last, tree).await?,
            Reference::Digest(_) => side.write_manifest(last).await?,
        })
    }

    /// Tags. A tag that a sha512 digest is to be kept by needs the manifest under that digest first.
    async fn tag(&self, side: &Side, tag: &str, manifest: &Fetched, tree: &Tree) -> Result<Pushed, RegistryError> {
        use super::super::wire::digest::Algorithm;
        if tree.role == Role::Image && manifest.digest.algorithm() != Algorithm::Sha256 {
            side.write_manifest(manifest).await?;
        }
        side.tag(tag, manifest).await
    }

    fn going_on(&self) -> Result<(), CopyError> {
        if self.stop.is_cancelled() { Err(CopyError::Stopped) } else { Ok(()) }
    }
}

/// Whether the tag names what was written.
async fn read_back(side: &Side, tag: &str, digest: &Digest) -> Result<(), RegistryError> {
    let reference = Reference::Tag(tag.to_owned());
    let message = match side.digest(&reference).await? {
        Some(held) if held == *digest => return Ok(()),
        // The registry names it by another algorithm.
        Some(held) if held.algorithm() != digest.algorithm() => return Ok(()),
        Some(held) => format!("after {digest} was written the tag names {held}"),
        None => format!("after {digest} was written the tag is not there"),
    };
    Err(RegistryError { operation: "confirm", place: side.place(Some(&reference)), cause: Cause::Unconfirmed(message) })
}
