//! Ways to harm a backup in its folder, or a file of the copy.
//!
//! A backup's folder holds `dump` (or `dump.sql`), and the roles beside it as
//! `globals.json` for Lifeboat and as `globals.sql` for the script.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use lifeboat::engine::postgresql::archive::header::Header;
use serde_json::Value;

/// The usual size of a page.
const PAGE: usize = 8192;

/// The backup itself.
pub fn backup(folder: &Path) -> PathBuf {
    let names = ["dump.sql", "dump.sql.gz", "dump"];
    let mut paths = names.iter().map(|name| folder.join(name));
    paths.find(|path| path.exists()).unwrap()
}

/// The file that holds a table's rows, in a directory dump.
fn data_of(folder: &Path, table: &str) -> PathBuf {
    let dump = backup(folder);
    let toc = fs::File::open(dump.join("toc.dat")).unwrap();
    let header = Header::read(std::io::BufReader::new(toc)).unwrap();
    let entry = header
        .entries
        .iter()
        .find(|entry| entry.kind == "TABLE DATA" && entry.tag == table)
        .unwrap();
    let plain = dump.join(entry.file.as_ref().unwrap());
    if plain.exists() {
        return plain;
    }
    let name = format!("{}.gz", plain.file_name().unwrap().display());
    plain.with_file_name(name)
}

fn edit(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

fn edit_lines(path: &Path, change: impl FnOnce(&mut Vec<String>)) {
    let text = fs::read_to_string(path).unwrap();
    let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
    change(&mut lines);
    fs::write(path, lines.concat()).unwrap();
}

fn cut(path: &Path, percent: usize) {
    edit(path, |bytes| bytes.truncate(bytes.len() * percent / 100));
}

pub fn cut_at_30(folder: &Path) {
    cut(&backup(folder), 30);
}

/// Where a row ends, so that nothing is odd about what is left.
pub fn cut_at_90(folder: &Path) {
    edit(&backup(folder), |bytes| {
        let near = bytes.len() * 9 / 10;
        let line_end = bytes[near..].iter().position(|byte| *byte == b'\n');
        bytes.truncate(near + line_end.unwrap() + 1);
    });
}

pub fn cut_at_60(folder: &Path) {
    cut(&backup(folder), 60);
}

pub fn cut_tail(folder: &Path) {
    edit(&backup(folder), |bytes| bytes.truncate(bytes.len() - 100));
}

pub fn cut_between_statements(folder: &Path) {
    edit(&backup(folder), |bytes| {
        let text = String::from_utf8_lossy(bytes);
        let end = text.find("\n\\.\n").unwrap() + 4;
        bytes.truncate(end);
    });
}

pub fn empty_backup(folder: &Path) {
    fs::write(backup(folder), b"").unwrap();
}

pub fn error_message(folder: &Path) {
    let message = "pg_dump: error: connection to server at \"db\" failed: Connection refused\n";
    fs::write(backup(folder), message).unwrap();
}

pub fn lose_column(folder: &Path) {
    edit_lines(&backup(folder), |lines| {
        let begin = lines
            .iter()
            .position(|line| line.starts_with("COPY shop.documents"));
        let row = &mut lines[begin.unwrap() + 3];
        *row = row.rsplit_once('\t').unwrap().0.to_owned() + "\n";
    });
}

fn gzip(folder: &Path) -> PathBuf {
    let status = Command::new("gzip").arg(backup(folder)).status().unwrap();
    assert!(status.success());
    backup(folder)
}

pub fn gzip_cut(folder: &Path) {
    cut(&gzip(folder), 30);
}

pub fn gzip_spoilt(folder: &Path) {
    spoil(&gzip(folder));
}

pub fn spoil_middle(folder: &Path) {
    spoil(&backup(folder));
}

fn spoil(path: &Path) {
    edit(path, |bytes| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x20;
    });
}

pub fn cut_head(folder: &Path) {
    edit(&backup(folder), |bytes| bytes.truncate(1000));
}

pub fn lose_toc(folder: &Path) {
    fs::remove_file(backup(folder).join("toc.dat")).unwrap();
}

pub fn cut_blobs(folder: &Path) {
    edit(&backup(folder).join("blobs.toc"), |bytes| {
        bytes.truncate(bytes.len() - 10);
    });
}

pub fn cut_toc(folder: &Path) {
    cut(&backup(folder).join("toc.dat"), 50);
}

pub fn cut_data(folder: &Path) {
    let path = data_of(folder, "readings");
    edit(&path, |bytes| {
        // Where a line ends, nothing is odd about what is left.
        let middle = bytes.len() / 2;
        let line_end = bytes[middle..].iter().position(|b| *b == b'\n').unwrap();
        bytes.truncate(middle + line_end + 1);
    });
}

pub fn empty_data(folder: &Path) {
    fs::write(data_of(folder, "readings"), b"").unwrap();
}

pub fn lose_data(folder: &Path) {
    fs::remove_file(data_of(folder, "readings")).unwrap();
}

pub fn spoil_data(folder: &Path) {
    spoil(&data_of(folder, "readings"));
}

pub fn lose_blob(folder: &Path) {
    for suffix in ["", ".gz"] {
        let path = backup(folder).join(format!("blob_90001.dat{suffix}"));
        let _ = fs::remove_file(path);
    }
}

pub fn drop_rows(folder: &Path) {
    edit_lines(&data_of(folder, "readings"), |lines| {
        lines.drain(100..110);
    });
}

pub fn one_digit(folder: &Path) {
    edit_lines(&data_of(folder, "readings"), |lines| {
        lines[100] = lines[100].replacen("label 1", "label 7", 1);
    });
}

pub fn double_row(folder: &Path) {
    edit_lines(&data_of(folder, "readings"), |lines| {
        lines.insert(100, lines[100].clone());
    });
}

pub fn orphan_row(folder: &Path) {
    edit_lines(&data_of(folder, "orders_2024"), |lines| {
        lines.remove(50);
    });
}

pub fn without_role(folder: &Path) {
    edit_globals(folder, |globals| {
        let of = |value: &Value| value["name"] == "reporting";
        globals["roles"]
            .as_array_mut()
            .unwrap()
            .retain(|role| !of(role));
    });
    edit_lines(&folder.join("globals.sql"), |lines| {
        lines.retain(|line| !line.contains("ROLE reporting"));
    });
}

pub fn weaker_role(folder: &Path) {
    edit_globals(folder, |globals| {
        globals["memberships"] = Value::Array(Vec::new());
        for role in globals["roles"].as_array_mut().unwrap() {
            if role["name"] == "reporting" {
                role["connection_limit"] = 1.into();
            }
        }
    });
}

/// For a server that has the roles already: several loads at once would alter
/// them under each other's hands.
pub fn without_roles(folder: &Path) {
    edit_globals(folder, |globals| {
        globals["roles"] = Value::Array(Vec::new());
        globals["memberships"] = Value::Array(Vec::new());
        let settings = globals["settings"].as_array_mut().unwrap();
        settings.retain(|setting| setting["in_database"] == true);
    });
}

fn edit_globals(folder: &Path, change: impl FnOnce(&mut Value)) {
    let path = folder.join("globals.json");
    if !path.exists() {
        return;
    }
    let mut globals = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    change(&mut globals);
    fs::write(&path, serde_json::to_vec(&globals).unwrap()).unwrap();
}

/// In the middle of the second page, or of the only one.
#[expect(clippy::ptr_arg, reason = "others change its length")]
pub fn turn_bit(file: &mut Vec<u8>) {
    let page = if file.len() > PAGE { PAGE } else { 0 };
    file[page + PAGE - 100] ^= 0x10;
}

#[expect(clippy::ptr_arg, reason = "others change its length")]
pub fn zero_page(file: &mut Vec<u8>) {
    file[PAGE..2 * PAGE].fill(0);
}

pub fn cut_pages(file: &mut Vec<u8>) {
    file.truncate(file.len() / PAGE / 2 * PAGE);
}
