//! The drills of a service: files in folders, read again when they change.
//!
//! A file that is broken keeps what it last said when it was not: a mistake in
//! an editor must not silently end the drills of a database. What it said may also be
//! told by whoever noted it, as by a process of before ([`Catalog::hold`]).

mod watch;

pub use watch::Watch;

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    rc::Rc,
    sync::Arc,
};

use xxhash_rust::xxh3::xxh3_64;

use crate::{
    domain::ids::DrillName,
    spec::{self, packed::PackedDrill},
};

/// In which file each drill is.
type Names = HashMap<DrillName, Rc<Path>>;

/// The files that can be used, each with a digest of its text.
pub type Digests = BTreeMap<PathBuf, u64>;

/// What the drill files say.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Catalog {
    files: BTreeMap<PathBuf, Vec<Arc<PackedDrill>>>,
    broken: BTreeMap<PathBuf, String>,
}

impl Catalog {
    /// Reads all files again: those in `places`, which are files and folders
    /// with files that end in `.yaml` or `.yml`.
    #[must_use]
    pub fn read(&self, places: &[PathBuf]) -> Self {
        self.read_anew(places).0
    }

    /// The same, and how what can be used of it is known again.
    #[must_use]
    pub fn read_anew(&self, places: &[PathBuf]) -> (Self, Digests) {
        let mut new = Self::default();
        let mut digests = Digests::new();
        let mut names = Names::new();
        for place in places {
            match files_of(place) {
                Ok(files) => {
                    for file in files {
                        let digest = new.add(file.as_path().into(), self, &mut names);
                        digests.extend(digest.map(|digest| (file, digest)));
                    }
                }
                Err(error) => {
                    let message = format!("cannot be read: {error}");
                    new.broken.insert(place.clone(), message);
                    let kept = self.files.range(place.clone()..);
                    let kept = kept.take_while(|(file, _)| file.starts_with(place));
                    new.files
                        .extend(kept.map(|(file, drills)| (file.clone(), drills.clone())));
                }
            }
        }
        (new, digests)
    }

    /// Takes a file that cannot be used now to have said this.
    ///
    /// # Errors
    /// If that cannot be used either.
    pub fn hold(&mut self, file: PathBuf, text: &str) -> Result<(), String> {
        let drills = drills_in(text, &file)?;
        self.files.insert(file, drills);
        Ok(())
    }

    /// Adds what a file says; gives its digest where it can be used.
    fn add(&mut self, file: Rc<Path>, before: &Self, names: &mut Names) -> Option<u64> {
        let text = spec::text_of(&file).map_err(|errors| errors.to_string());
        let read = text.and_then(|text| {
            let drills = drills_in(&text, &file)?;
            let twice = drills
                .iter()
                .find_map(|drill| Some((drill, names.get(&drill.name)?)));
            match twice {
                Some((drill, other)) => {
                    let (name, other) = (&drill.name, other.display());
                    Err(format!("drill {name} is in {other}, too"))
                }
                None => Ok((drills, Some(digest(&text)))),
            }
        });
        let (drills, digest) = read.unwrap_or_else(|message| {
            self.broken.insert(file.to_path_buf(), message);
            let kept = before.files.get(&*file).cloned();
            (kept.unwrap_or_default(), None)
        });
        for drill in &drills {
            names
                .entry(drill.name.clone())
                .or_insert_with(|| file.clone());
        }
        self.files.insert(file.to_path_buf(), drills);
        digest
    }

    /// Whether a file is not there any more that was in one of `places`. Of a place
    /// that cannot be read, nobody knows.
    fn is_gone(&self, file: &Path, places: &[PathBuf]) -> bool {
        let was_here = places.iter().any(|place| file.starts_with(place));
        let unknown = |part| self.broken.contains_key::<Path>(part);
        was_here && !self.files.contains_key(file) && !file.ancestors().any(unknown)
    }

    /// The files of `before` that are not there any more.
    #[must_use]
    pub fn gone_since(&self, before: &Self, places: &[PathBuf]) -> Vec<PathBuf> {
        let files = before.files.keys();
        let gone = files.filter(|file| self.is_gone(file, places));
        gone.cloned().collect()
    }

    /// All drills that can be used.
    #[must_use]
    pub fn drills(&self) -> Vec<Arc<PackedDrill>> {
        let mut all: BTreeMap<&DrillName, &Arc<PackedDrill>> = BTreeMap::new();
        for drill in self.files.values().flatten() {
            // A file may keep what another one says by now.
            all.entry(&drill.name).or_insert(drill);
        }
        all.into_values().cloned().collect()
    }

    /// The one of that name.
    #[must_use]
    pub fn drill(&self, name: &str) -> Option<&Arc<PackedDrill>> {
        let mut all = self.files.values().flatten();
        all.find(|drill| drill.name.as_str() == name)
    }

    /// The files that cannot be used, and why.
    #[must_use]
    pub fn broken(&self) -> &BTreeMap<PathBuf, String> {
        &self.broken
    }
}

/// By what a text is known again.
#[must_use]
pub fn digest(text: &str) -> u64 {
    xxh3_64(text.as_bytes())
}

fn drills_in(text: &str, file: &Path) -> Result<Vec<Arc<PackedDrill>>, String> {
    let drills = spec::parse_all(text, file).map_err(|errors| errors.to_string())?;
    let packed = drills.iter().map(PackedDrill::new);
    let packed = packed.map(|drill| drill.map(Arc::new));
    let packed: Result<_, _> = packed.collect();
    packed.map_err(|failure| failure.message)
}

/// How the drill files look from outside: as long as that stays the same, they
/// need not be read.
#[must_use]
pub fn look(places: &[PathBuf]) -> Looks {
    let files = places.iter().flat_map(|place| match files_of(place) {
        Ok(files) => files,
        Err(_) => vec![place.clone()],
    });
    files.map(|file| (file.clone(), seen(&file))).collect()
}

/// Drill files with how each looks; none where it cannot be seen.
pub type Looks = Vec<(PathBuf, Option<Seen>)>;

/// What changes whenever a file does: its number and length, and when it was
/// written or moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    number: u64,
    length: u64,
    changed: (i64, i64),
}

fn seen(file: &Path) -> Option<Seen> {
    use std::os::unix::fs::MetadataExt as _;
    let is = std::fs::metadata(file).ok()?;
    Some(Seen {
        number: is.ino(),
        length: is.len(),
        changed: (is.ctime(), is.ctime_nsec()),
    })
}

/// The drill files of a place, by name. Hidden ones are none: a ConfigMap's
/// volume keeps its versions there.
fn files_of(place: &Path) -> std::io::Result<Vec<PathBuf>> {
    if !std::fs::metadata(place)?.is_dir() {
        return Ok(vec![place.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(place)? {
        let path = entry?.path();
        let hidden = path
            .file_name()
            .is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
        let named = path
            .extension()
            .is_some_and(|end| end == "yaml" || end == "yml");
        if named && !hidden {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drill(name: &str) -> String {
        format!(
            "apiVersion: lifeboat.dev/v1alpha1\nkind: Drill\nmetadata: {{ name: {name} }}\n\
             spec: {{ workload: {{ sqlite: {{ file: a.db }} }} }}\n"
        )
    }

    fn names(catalog: &Catalog) -> Vec<String> {
        catalog
            .drills()
            .iter()
            .map(|drill| drill.name.to_string())
            .collect()
    }

    #[test]
    fn a_broken_file_keeps_what_it_said() {
        let dir = tempfile::tempdir().unwrap();
        let places = [dir.path().to_owned()];
        let write = |file: &str, text: &str| std::fs::write(dir.path().join(file), text).unwrap();
        write("a.yaml", &drill("a"));
        write("b.yml", &drill("b"));
        write("notes.txt", "not a drill");
        write(".c.yaml", &drill("c"));
        let first = Catalog::default().read(&places);
        assert_eq!(names(&first), ["a", "b"]);
        assert!(first.broken().is_empty());

        write("a.yaml", "kind: [");
        let second = first.read(&places);
        assert_eq!(names(&second), ["a", "b"]);
        let (file, message) = second.broken().first_key_value().unwrap();
        assert!(file.ends_with("a.yaml"), "{message}");

        // One that was never read has nothing to keep.
        assert_eq!(names(&Catalog::default().read(&places)), ["b"]);

        write("a.yaml", &drill("a2"));
        std::fs::remove_file(dir.path().join("b.yml")).unwrap();
        let third = second.read(&places);
        assert_eq!(names(&third), ["a2"]);
        assert!(third.broken().is_empty());
    }

    #[test]
    fn a_broken_file_says_what_was_noted_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let places = [dir.path().to_owned()];
        let file = |name: &str| dir.path().join(name);
        for (name, text) in [("a.yaml", "kind: ["), ("b.yaml", &*drill("b"))] {
            std::fs::write(file(name), text).unwrap();
        }
        let mut before = Catalog::default();
        before.hold(file("a.yaml"), &drill("a")).unwrap();
        // What is not broken says what it says.
        before.hold(file("b.yaml"), &drill("other")).unwrap();
        before.hold(file("c.yaml"), &drill("c")).unwrap();
        assert!(before.hold(file("a.yaml"), "kind: [").is_err());
        let (read, digests) = before.read_anew(&places);
        assert_eq!(names(&read), ["a", "b"]);
        assert!(read.broken().contains_key(&file("a.yaml")));
        assert_eq!(digests, [(file("b.yaml"), digest(&drill("b")))].into());
        for (name, gone) in [("a.yaml", false), ("b.yaml", false), ("c.yaml", true)] {
            assert_eq!(read.is_gone(&file(name), &places), gone, "{name}");
        }
        assert!(!read.is_gone(Path::new("/elsewhere/c.yaml"), &places));

        std::fs::remove_dir_all(dir.path()).unwrap();
        let read = Catalog::default().read(&places);
        assert!(!read.is_gone(&file("a.yaml"), &places), "nobody knows");
    }

    #[test]
    fn two_files_cannot_have_the_same_drill() {
        let dir = tempfile::tempdir().unwrap();
        for file in ["a.yaml", "b.yaml"] {
            std::fs::write(dir.path().join(file), drill("twin")).unwrap();
        }
        let catalog = Catalog::default().read(&[dir.path().to_owned()]);
        assert_eq!(names(&catalog), ["twin"]);
        let (file, message) = catalog.broken().first_key_value().unwrap();
        assert!(
            file.ends_with("b.yaml") && message.contains("twin"),
            "{message}"
        );
    }

    #[test]
    fn a_folder_that_is_gone_keeps_its_drills() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("drills");
        std::fs::create_dir(&place).unwrap();
        std::fs::write(place.join("a.yaml"), drill("a")).unwrap();
        let first = Catalog::default().read(std::slice::from_ref(&place));
        std::fs::remove_dir_all(&place).unwrap();
        let second = first.read(std::slice::from_ref(&place));
        assert_eq!(names(&second), ["a"]);
        assert_eq!(second.broken().len(), 1);
    }
}
