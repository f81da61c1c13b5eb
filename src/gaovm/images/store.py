"""The image store, which the daemon calls.

``$GAOVM_HOME/images`` has the images to which VM disks refer. ``$GAOVM_CACHE`` has what GaoVM can
make again: built images and the packages in them. The store checks every byte of an image that
comes in, and removes one only when the caller says that nothing uses it. The store knows no VMs.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from gaovm import errors
from gaovm.aio import clock, joint_work, lock_file, steps, tasks
from gaovm.images import (
    builder,
    caching,
    digests,
    image_dir,
    initramfs,
    manifest,
    namespaces,
    progress,
    pulled,
    pulling,
    recipes,
    workdirs,
)
from gaovm.images.manifest import ImageInfo
from gaovm.images.transfer import partial, pins

_DOWNLOAD_AGE_S = 7 * 86400.0
Builder = Callable[
    [recipes.Recipe, Path, Path, str | None, progress.BuildProgress], Awaitable[builder.Built]
]


@dataclass(frozen=True, kw_only=True)
class Pruned:
    """The images that ``prune`` or ``remove`` has removed, and the disk space that this freed."""

    removed: tuple[ImageInfo, ...]
    freed_bytes: int


@dataclass(frozen=True, kw_only=True)
class BuildRequest:
    """An image for ``ensure`` and ``build`` to make; ``mirror`` None is the host's own."""

    name: str
    arch: str = "x86_64"
    kernel: str = "generic"
    mirror: str | None = None


def silent(_: progress.Progress) -> None:
    """Ignore a report."""


class ImageStore:
    """All images of one ``$GAOVM_HOME``.

    A process has one instance; its methods may run concurrently.
    """

    def __init__(self, home: Path, cache: Path, *, build: Builder = builder.build) -> None:
        home, cache = home.absolute(), cache.absolute()
        self._shelf = image_dir.Shelf(home / "images")
        self._cache = image_dir.Shelf(cache / "images")
        self._packages = cache / "packages"
        self._downloads = cache / partial.FOLDER
        self._pins = pins.Pins(home / "images")
        self._build = build
        self._shared: joint_work.Operations[progress.Progress, ImageInfo] = joint_work.Operations(
            "images"
        )
        self._agents: dict[tuple[str, int, int], str] = {}

    def list(self) -> Sequence[ImageInfo]:
        """Return all images, newest first."""
        return self._shelf.images()

    def get(self, digest: str) -> ImageInfo:
        """Return the image with a full digest. Raises: NotFound, ImageCorrupt."""
        directory = self._shelf.path / digest
        if len(digest) != 64 or "/" in digest or not directory.is_dir():
            raise errors.NotFound(f"no image {digest[:12]} in {self._shelf.path}")
        return manifest.info(directory, manifest.load(directory))

    def find(self, name: str, arch: str, kernel: str | None) -> ImageInfo | None:
        """Find the newest image of a name, architecture and kernel (None: a pulled disk)."""
        wanted = (name, arch, kernel)
        return next((i for i in self.list() if (i.name, i.arch, i.kernel) == wanted), None)

    async def ensure(self, request: BuildRequest, report: progress.Report = silent) -> ImageInfo:
        """Return the image of a recipe: from the store, else from the cache, else build it.

        Callers that want the same image share the work. When the last of them is cancelled, the
        store removes the unfinished work.

        Raises: ImageUnknown, ProgramMissing, PermissionMissing, DiskFull, UsageError,
        ImageBuildFailed.
        """
        recipe, key = _recipe(request)
        found = self._shelf.find_recipe(key)
        if found is not None:
            return found
        return await self._shared.join(
            f"ensure {key}",
            lambda fan_out: self._obtain(recipe, key, request.mirror, fan_out),
            report,
        )

    async def build(self, request: BuildRequest, report: progress.Report = silent) -> ImageInfo:
        """Build an image from the mirror's current packages, even if there is one already.

        Raises the same errors as ``ensure``.
        """
        recipe, key = _recipe(request)
        return await self._shared.join(
            f"build {key}",
            lambda fan_out: self._rebuild(recipe, key, request.mirror, fan_out),
            report,
        )

    async def pull(self, request: pulling.Request, report: progress.Report = silent) -> ImageInfo:
        """Bring in a disk image (raw or qcow2, also compressed) from a URL or a path.

        Its digest must match. Without one, a URL must have the digest of its first download.

        Raises: UsageError, DigestMismatch, PullFailed, DiskFull, NotFound, StateCorrupt (pins).
        """
        pulling.check(request)
        key = hashlib.sha256(repr(request).encode()).hexdigest()

        async def start(fan_out: progress.Report) -> ImageInfo:
            async with self._locked(key, fan_out):
                wanted = await pulled.resolved(request, self._pins)
                present = pulled.find(self.list(), wanted)
                if present is not None:
                    return present
                async with self._working(self._shelf) as work:
                    fetched = await pulling.fetch(wanted, work, self._downloads, fan_out)
                    pulled.pin(request, fetched, self._pins)
                    identity = pulling.identity(request, fetched.names)
                    return await self._shelve(
                        self._shelf, work, fetched.names, identity, downloaded=fetched.digests
                    )

        return await self._shared.join(f"pull {key}", start, report)

    async def check(self, image: ImageInfo) -> None:
        """Check an image before use. Cheap when no file has changed since the last full check.

        Raises: ImageCorrupt; the message has the file, what was expected and what was found.
        """
        await digests.in_thread(digests.verify, image.directory, full=False)

    async def initrd(self, image: ImageInfo, agent: Path) -> Path:
        """Return an image's initramfs with an agent; make it once and remove those of older agents.

        A pulled image with an initrd of its own keeps that.
        """
        if image.initrd_path is not None:
            return image.initrd_path
        name = f"initrd-{await self._agent_digest(agent)}.img"
        path = image.directory / name
        if path.exists():
            return path
        await asyncio.to_thread(initramfs.write, image.modules_path, agent, path)
        for old in image.directory.glob("initrd-*.img"):
            if old.name != name:
                old.unlink(missing_ok=True)
        return path

    async def remove(self, ref: str, in_use: Collection[str]) -> Pruned:
        """Remove all images of a name, or the image of a digest.

        ``ref`` may be the beginning of a name or digest if only one begins with it. The next
        download of a URL that is removed may have any digest.

        Raises: NotFound, UsageError (ambiguous), ImageInUse; then nothing was removed.
        """
        pinned = self._pins.get(ref) is not None
        try:
            chosen = self._resolve(ref)
        except errors.NotFound:
            if not pinned:
                raise
            chosen = []  # the image was pruned; its URL is still pinned
        used = [digest for digest in chosen if digest in in_use]
        if used:
            raise errors.ImageInUse(
                f"image {used[0][:12]} backs the disk of a VM",
                remedy="destroy that VM first",
                details={"digests": used},
            )
        names = {image.name for image in self.list() if image.digest in chosen}
        pruned = await self._take_out(chosen)
        for name in {ref, *names} - {image.name for image in self.list()}:
            self._pins.remove(name)
        return pruned

    async def prune(self, in_use: Collection[str]) -> Pruned:
        """Remove every image that is not in use, and cached images of outdated recipes.

        The caller must count a VM's image as in use as soon as it asks the store for it.
        """
        pruned = await self._take_out([i.digest for i in self.list() if i.digest not in in_use])
        freed = pruned.freed_bytes
        current = _current_keys()
        for image in self._cache.images():
            if image.recipe_key not in current:
                freed += await self._delete(self._cache, image.digest)
        return Pruned(removed=pruned.removed, freed_bytes=freed)

    async def clear_cache(self) -> int:
        """Remove everything that GaoVM can make again; return the freed bytes.

        Raises: StateConflict (a build is running), HostError.
        """
        return await caching.clear(self._cache.path.parent)

    async def sweep(self) -> int:
        """Remove what dead builders and pullers left; return the number of their directories.

        A download that nobody has gone on with for a week goes too.
        """
        for path in partial.old(self._downloads, clock.now() - _DOWNLOAD_AGE_S):
            path.unlink(missing_ok=True)
        dead = [path for place in (self._shelf, self._cache) for path in workdirs.dead(place.path)]
        for path in dead:
            await namespaces.remove(path)
        return len(dead)

    async def close(self) -> None:
        """Cancel all work and wait until it has cleaned up."""
        await self._shared.close()

    async def _obtain(
        self, recipe: recipes.Recipe, key: str, mirror: str | None, report: progress.Report
    ) -> ImageInfo:
        async with self._locked(key, report):
            found = self._shelf.find_recipe(key)
            if found is not None:
                return found
            cached = self._cache.find_recipe(key)
            if cached is not None:
                try:
                    return await self._bring_in(cached, report)
                except errors.ImageCorrupt:
                    await self._delete(self._cache, cached.digest)
            return await self._make(recipe, key, mirror, report)

    async def _rebuild(
        self, recipe: recipes.Recipe, key: str, mirror: str | None, report: progress.Report
    ) -> ImageInfo:
        async with self._locked(key, report):
            return await self._make(recipe, key, mirror, report)

    async def _make(
        self, recipe: recipes.Recipe, key: str, mirror: str | None, report: progress.Report
    ) -> ImageInfo:
        """Build into the cache and bring into the store; cache only a recipe's newest."""
        started = clock.monotonic()
        tracker = progress.BuildProgress(report, clock.monotonic, self._expected_s(recipe))
        packages = self._packages / f"{recipe.suite}-{recipe.debian_arch}-{recipe.kernel}"
        async with self._working(self._cache) as work:
            built = await self._build(recipe, work, packages, mirror, tracker)
            tracker.phase("digest", "computing digests")
            identity = manifest.Identity(
                name=recipe.name,
                arch=recipe.arch,
                kernel=recipe.kernel,
                kernel_release=built.kernel_release,
                recipe_key=key,
                disk_format="raw",
                artefacts={},
            )
            built_s = round(clock.monotonic() - started, 1)
            image = await self._shelve(self._cache, work, built.files, identity, build_s=built_s)
        tracker.phase("store", "bringing the image into the store")
        stored = await self._bring_in(image, silent)
        for old in self._cache.images():
            if old.recipe_key == key and old.digest != image.digest:
                await self._delete(self._cache, old.digest)
        return stored

    @steps.step
    async def _shelve(
        self,
        place: image_dir.Shelf,
        work: Path,
        names: dict[manifest.Role, str],
        identity: manifest.Identity,
        *,
        build_s: float | None = None,
        downloaded: dict[str, str] | None = None,
    ) -> ImageInfo:
        """Describe the artefacts, remove everything else in ``work``, and put it on the shelf."""
        full = await digests.in_thread(image_dir.describe, work, names, identity)
        for path in sorted(work.iterdir()):
            if path.name not in names.values():
                await namespaces.remove(path) if path.is_dir() else path.unlink()
        source = None if build_s is not None else identity.name
        content = manifest.Manifest(
            identity=full,
            created=image_dir.now(),
            source=source,
            build_s=build_s,
            downloaded=downloaded or {},
        )
        return await asyncio.to_thread(place.put, work, content)

    async def _bring_in(self, image: ImageInfo, report: progress.Report) -> ImageInfo:
        counter = progress.ByteProgress(
            digests.from_thread(report),
            clock.monotonic,
            "store",
            "checking the cached image",
            image.size_bytes,
        )
        async with self._working(self._shelf) as work:
            return await digests.in_thread(self._shelf.bring_in, image, work, counter.add)

    @contextlib.asynccontextmanager
    async def _working(self, place: image_dir.Shelf) -> AsyncIterator[Path]:
        """Make a working directory for the block; afterwards it is removed, or was renamed away."""
        work = place.working()
        try:
            yield work
        finally:
            await tasks.finish(namespaces.remove(work))

    def _locked(
        self, key: str, report: progress.Report
    ) -> contextlib.AbstractAsyncContextManager[None]:
        waiting = progress.Progress(
            phase="wait", message="waiting: another process makes this image"
        )
        return lock_file.locked(self._cache.path / f".lock.{key[-16:]}", lambda: report(waiting))

    def _expected_s(self, recipe: recipes.Recipe) -> float | None:
        """Return how long the last build of the same image took, in seconds."""
        for place in (self._cache, self._shelf):
            for image in place.images():
                if (image.name, image.arch, image.kernel) == (
                    recipe.name,
                    recipe.arch,
                    recipe.kernel,
                ):
                    return manifest.load(image.directory).build_s
        return None

    async def _agent_digest(self, agent: Path) -> str:
        stat = agent.stat()
        key = (str(agent), stat.st_size, stat.st_mtime_ns)
        if key not in self._agents:
            self._agents[key] = (await digests.in_thread(digests.sha256, agent))[:12]
        return self._agents[key]

    def _resolve(self, ref: str) -> Sequence[str]:
        """Return the digests for ``ref``: a name, else the beginning of one digest or name."""
        images = self.list()
        named = [image.digest for image in images if image.name == ref]
        if named:
            return named
        word = ref.removeprefix("sha256:")
        here = [image.digest for image in images] + self._shelf.unreadable()
        matching = [digest for digest in here if word and digest.startswith(word)]
        if len(matching) > 1:
            shown = ", ".join(sorted(digest[:12] for digest in matching))
            raise errors.UsageError(f"{ref} matches {len(matching)} images: {shown}")
        names = sorted({image.name for image in images if ref and image.name.startswith(ref)})
        if not matching and len(names) > 1:
            raise errors.UsageError(f"{ref} matches {len(names)} names: {', '.join(names)}")
        chosen = matching or [image.digest for image in images if image.name in names]
        if not chosen:
            raise errors.NotFound(f"no image {ref!r}", actions=(errors.Action("list_images"),))
        return chosen

    async def _take_out(self, chosen: Collection[str]) -> Pruned:
        known = {image.digest: image for image in self.list()}
        freed = 0
        for digest in chosen:
            freed += await self._delete(self._shelf, digest)
        return Pruned(removed=tuple(known[d] for d in chosen if d in known), freed_bytes=freed)

    async def _delete(self, place: image_dir.Shelf, digest: str) -> int:
        grave = place.take_out(digest)
        if grave is None:
            return 0
        freed = await asyncio.to_thread(image_dir.allocated, grave)
        await asyncio.to_thread(shutil.rmtree, grave)
        return freed


def _recipe(request: BuildRequest) -> tuple[recipes.Recipe, str]:
    recipe = recipes.find(request.name, request.arch, request.kernel)
    return recipe, recipe.key(builder.hooks())


def _current_keys() -> set[str]:
    hooks = builder.hooks()
    return {
        recipes.find(name, arch, kernel).key(hooks)
        for name in recipes.known()
        for arch in recipes.ARCHES
        for kernel in recipes.KERNELS
    }
