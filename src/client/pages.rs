//! Lists in pages.

use kube::api::ListParams;
use kube::core::ListMeta;

/// The requests of a list that an API server returns in pages.
///
/// ```text
/// while let Some(params) = pages.next() {
///     let page = api.list(params).await?;
///     pages.read(&page.metadata);
/// }
/// ```
#[derive(Debug)]
pub struct Pages {
    params: ListParams,
    is_complete: bool,
}

impl Pages {
    /// Pages of at most `size` objects. A page is decoded as a whole, so its size bounds the memory of a list.
    pub fn of(params: ListParams, size: u32) -> Self {
        Self { params: params.limit(size), is_complete: false }
    }

    /// The parameters of the next request; `None` after the last page.
    pub fn next(&self) -> Option<&ListParams> {
        (!self.is_complete).then_some(&self.params)
    }

    /// Records a page.
    pub fn read(&mut self, page: &ListMeta) {
        self.go_on(page.continue_.clone());
    }

    /// Records the continue token of a page.
    pub fn go_on(&mut self, token: Option<String>) {
        // Servers write an empty token, no token, or `null` on the last page.
        self.params.continue_token = token.filter(|token| !token.is_empty());
        self.is_complete = self.params.continue_token.is_none();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_goes_on_until_a_page_has_no_token() {
        for last in [None, Some(String::new())] {
            let mut pages = Pages::of(ListParams::default().labels("a=b"), 7);
            let mut tokens = [Some("one".to_owned()), Some("two".to_owned()), last].into_iter();
            let mut requests = Vec::new();
            while let Some(params) = pages.next() {
                assert_eq!((params.limit, params.label_selector.as_deref()), (Some(7), Some("a=b")));
                requests.push(params.continue_token.clone());
                pages.read(&ListMeta { continue_: tokens.next().unwrap(), ..ListMeta::default() });
            }
            assert_eq!(requests, [None, Some("one".to_owned()), Some("two".to_owned())]);
        }
    }
}
