//! Tables of the documentation.

/// The rows below a heading of the documentation that begin with `mark`.
pub(crate) fn documented(heading: &str, mark: &str) -> Vec<Vec<String>> {
    let rows = include_str!("../../../src/docs/operating.md").lines().skip_while(|&line| line != heading);
    rows.skip(1)
        .take_while(|line| !line.starts_with('#'))
        .filter(|line| line.starts_with(mark))
        .map(|line| line.split('|').map(|cell| cell.replace('`', "").trim().to_owned()).collect())
        .collect()
}
