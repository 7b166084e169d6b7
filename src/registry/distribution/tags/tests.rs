use super::super::super::name::RegistryAddress;
use super::*;

const SIZE: usize = 1_000;

fn paging() -> Paging {
    Paging::new(&Quirks::of(&RegistryAddress::parse("r.example").unwrap()))
}

/// A page of tags with these numbers.
fn page(numbers: std::ops::Range<usize>, next: Option<&str>) -> Page {
    let tags: Vec<String> = numbers.map(|number| format!("v{number}")).collect();
    let tags = TagPage { entries: tags.len(), last: tags.last().cloned(), tags, skipped: 0 };
    Page { bytes: tags.entries * 8, tags, next: next.map(str::to_owned) }
}

#[test]
fn b10_links_are_followed_until_there_is_none() {
    let mut list = paging();
    assert_eq!(list.query(), "n=1000");
    assert!(list.add(page(0..2, Some("token=opaque%3D"))).unwrap());
    assert_eq!(list.query(), "token=opaque%3D", "the cursor as it came");
    assert!(!list.add(page(2..3, None)).unwrap());
    assert_eq!(
        list.finish(),
        TagList { tags: vec!["v0".into(), "v1".into(), "v2".into()], skipped: 0, duplicates: 0, pages: 2 }
    );
}

#[test]
fn b10_a_full_page_without_a_link_goes_on_after_its_last_tag() {
    let mut list = paging();
    assert!(list.add(page(0..SIZE, None)).unwrap());
    assert_eq!(list.query(), "n=1000&last=v999");
    assert!(!list.add(page(SIZE..SIZE + 1, None)).unwrap());
    assert_eq!(list.finish().tags.len(), SIZE + 1);
}

#[test]
fn b10_where_there_were_links_a_full_page_without_one_is_the_last() {
    let mut list = paging();
    assert!(list.add(page(0..SIZE, Some("last=v999"))).unwrap());
    assert!(!list.add(page(SIZE..2 * SIZE, None)).unwrap());
    assert_eq!(list.finish().tags.len(), 2 * SIZE);
}

#[test]
fn b10_a_registry_that_ignores_the_page_size_has_one_page() {
    for entries in [SIZE - 1, SIZE + 1, 3 * SIZE] {
        let mut list = paging();
        assert!(!list.add(page(0..entries, None)).unwrap(), "{entries}");
    }
}

#[test]
fn b10_a_cursor_that_was_seen_ends_the_list() {
    let mut list = paging();
    assert!(list.add(page(0..2, Some("last=v1"))).unwrap());
    assert!(!list.add(page(0..2, Some("last=v1"))).unwrap());
    let list = list.finish();
    assert_eq!((list.tags.len(), list.duplicates), (2, 2));
    let mut ignores_last = paging();
    assert!(ignores_last.add(page(0..SIZE, None)).unwrap());
    assert!(!ignores_last.add(page(0..SIZE, None)).unwrap());
    assert_eq!(ignores_last.finish().tags.len(), SIZE);
}

#[test]
fn b10_an_endless_list_is_refused() {
    let mut list = paging();
    let refused = (0..).find_map(|number| list.add(page(0..1, Some(&format!("last={number}")))).err()).unwrap();
    assert!(refused.to_string().contains("10000 pages"), "{refused}");
    let mut list = paging();
    let refused =
        (0..).find_map(|number| list.add(page(0..MAX_TAGS / 10, Some(&format!("last={number}")))).err()).unwrap();
    assert!(refused.to_string().contains("1000000 tags"), "{refused}");
    assert_eq!(list.room(), MAX_LIST_BYTES - 11 * MAX_TAGS / 10 * 8);
}
