//! `dmarig.sys` and `dmarig-kmdf.sys` as the linker leaves them: what Windows and the nt guest demand of a driver image.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use object::LittleEndian as LE;
use object::pe;
use object::read::pe::{ImageNtHeaders, ImageOptionalHeader, Import, PeFile64};
use xtask::driver::{self, Front, Toolchain};
use xtask::{paths, portable_executable};

/// Builds the drivers into a folder of their own; none, with the reason printed, where tools are
/// missing.
fn build(name: &str, toolchain: Toolchain) -> Images {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    match driver::build(&folder, toolchain) {
        Ok(()) => Front::ALL
            .map(|front| {
                let path = folder.join(front.image());
                let bytes = fs::read(path).expect("the driver was just built");
                (front, bytes)
            })
            .into(),
        Err(error) => {
            let words = format!("{error:#}");
            assert!(words.contains("help: apt-get install"), "{words}");
            println!("skipped: {words}");
            Vec::new()
        }
    }
}

type Images = Vec<(Front, Vec<u8>)>;

static CLANG_IMAGES: LazyLock<Images> = LazyLock::new(|| build("clang", Toolchain::Clang));
static GCC_IMAGES: LazyLock<Images> = LazyLock::new(|| build("gcc", Toolchain::Gcc));

/// The images that most tests look at: of all tools.
fn images() -> impl Iterator<Item = &'static (Front, Vec<u8>)> {
    [&CLANG_IMAGES, &GCC_IMAGES]
        .into_iter()
        .flat_map(|images| images.iter())
}

fn parse(image: &[u8]) -> PeFile64<'_> {
    PeFile64::parse(image).expect("a PE32+ image")
}

#[test]
fn two_builds_are_byte_identical() {
    let clang = build("clang-again", Toolchain::Clang);
    assert!(*CLANG_IMAGES == clang, "the two builds of clang differ");
}

#[test]
fn image_is_a_native_x64_driver_with_its_checksum() {
    for (_, image) in images() {
        let file = parse(image);
        let headers = file.nt_headers();
        assert_eq!(
            headers.file_header().machine.get(LE),
            pe::IMAGE_FILE_MACHINE_AMD64
        );
        let optional = headers.optional_header();
        assert_eq!(optional.subsystem(), pe::IMAGE_SUBSYSTEM_NATIVE);
        assert_eq!(optional.section_alignment() % 0x1000, 0);
        let wanted =
            pe::IMAGE_DLLCHARACTERISTICS_NX_COMPAT | pe::IMAGE_DLLCHARACTERISTICS_DYNAMIC_BASE;
        assert_eq!(optional.dll_characteristics() & wanted, wanted);
        assert_ne!(portable_executable::checksum(image).expect("a PE image"), 0);
        assert_eq!(
            portable_executable::stored_checksum(image).expect("a PE image"),
            portable_executable::checksum(image).expect("a PE image")
        );
    }
}

#[test]
fn image_can_be_moved_and_unwound() {
    for (front, image) in images() {
        let file = parse(image);
        for index in [
            pe::IMAGE_DIRECTORY_ENTRY_BASERELOC,
            pe::IMAGE_DIRECTORY_ENTRY_EXCEPTION,
        ] {
            let directory = file.data_directory(index).expect("the directory is there");
            assert_ne!(
                directory.size.get(LE),
                0,
                "{front:?}: directory {index} is empty"
            );
        }
    }
}

#[test]
fn no_section_is_writable_and_executable() {
    for (front, image) in images() {
        for section in parse(image).section_table().iter() {
            let both = pe::IMAGE_SCN_MEM_WRITE | pe::IMAGE_SCN_MEM_EXECUTE;
            let flags = section.characteristics.get(LE);
            assert_ne!(
                flags & both,
                both,
                "{front:?}: section {:?}",
                section.raw_name()
            );
        }
    }
}

/// The names in a committed list of imports.
fn listed(list: &str) -> BTreeSet<String> {
    let path: PathBuf = paths::test_driver().join(list);
    let text = fs::read_to_string(&path).expect("the list is committed");
    text.lines()
        .filter(|line| !line.starts_with(';') && !line.starts_with("LIBRARY") && *line != "EXPORTS")
        .map(str::to_owned)
        .collect()
}

/// The libraries that an image imports from; each name must be in the library's list.
fn libraries_of(image: &[u8]) -> Vec<String> {
    let file = parse(image);
    let table = file
        .import_table()
        .expect("readable")
        .expect("a driver imports something");
    let mut descriptors = table.descriptors().expect("readable");
    let mut libraries = Vec::new();
    while let Some(descriptor) = descriptors.next().expect("readable") {
        let library = String::from_utf8_lossy(
            table
                .name(descriptor.name.get(LE))
                .expect("a library has a name"),
        )
        .to_lowercase();
        let (stem, _) = library.split_once('.').expect("a library has a suffix");
        let list = listed(&format!("{stem}.def"));
        let first = descriptor.original_first_thunk.get(LE);
        let mut thunks = table.thunks(first).expect("readable");
        while let Some(thunk) = thunks.next::<pe::ImageNtHeaders64>().expect("readable") {
            let import = table
                .import::<pe::ImageNtHeaders64>(thunk)
                .expect("readable");
            let Import::Name(_, name) = import else {
                panic!("import by ordinal from {library}")
            };
            let name = String::from_utf8_lossy(name).into_owned();
            assert!(
                list.contains(&name),
                "{name} is not in the list of {library}"
            );
        }
        libraries.push(library);
    }
    libraries.sort();
    libraries
}

#[test]
fn imports_are_the_listed_ones_and_no_others() {
    for (front, image) in images() {
        let expected: &[&str] = match front {
            Front::Wdm => &["hal.dll", "ntoskrnl.exe"],
            Front::Kmdf => &["hal.dll", "ntoskrnl.exe", "wdfldr.sys"],
        };
        assert_eq!(libraries_of(image), expected);
    }
}
