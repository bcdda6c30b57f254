//! Rules that need the syntax tree of a Rust file: its length, its functions' length, no `unwrap`,
//! errors that leave their source to whoever prints them.

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, Block, Fields, Item, LitStr, Meta, Signature};

use super::{Source, Violation};

const FILE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 70;
// Written in two halves, so that a search for the call does not find this file.
const UNWRAP: &str = concat!("un", "wrap");

pub(super) fn check(source: &Source) -> Vec<Violation> {
    let file = match syn::parse_file(&source.text) {
        Ok(file) => file,
        Err(error) => {
            let line = error.span().start().line;
            return vec![Violation::new(&source.path, line, format!("is not Rust: {error}"))];
        }
    };
    let mut visitor = Visitor { source, in_test: source.is_test, violations: Vec::new() };
    visitor.visit_file(&file);
    if !source.is_test {
        let lines = source.text.lines().count() - test_lines(&file.items);
        if lines > FILE_LINES_MAX {
            let message = format!("{lines} lines without tests, {FILE_LINES_MAX} at most");
            visitor.report(1, message);
        }
    }
    visitor.violations
}

/// Counts the lines of inline test modules.
fn test_lines(items: &[Item]) -> usize {
    let lines = items.iter().map(|item| match item {
        Item::Mod(module) if is_test(&module.attrs) => {
            let end = module.content.as_ref().map(|(brace, _)| brace.span.close().end().line);
            end.map_or(0, |end| end + 1 - module.attrs[0].pound_token.span.start().line)
        }
        _ => 0,
    });
    lines.sum()
}

struct Visitor<'a> {
    source: &'a Source,
    in_test: bool,
    violations: Vec<Violation>,
}

impl Visitor<'_> {
    fn report(&mut self, line: usize, message: String) {
        self.violations.push(Violation::new(&self.source.path, line, message));
    }

    fn function(&mut self, signature: &Signature, block: &Block) {
        let begin = signature.fn_token.span.start().line;
        let lines = block.brace_token.span.close().end().line + 1 - begin;
        if lines > FUNCTION_LINES_MAX {
            let name = &signature.ident;
            let message =
                format!("function `{name}` has {lines} lines, {FUNCTION_LINES_MAX} at most");
            self.report(begin, message);
        }
    }

    fn unwrap(&mut self, line: usize) {
        if !self.in_test {
            let message = format!("`{UNWRAP}` outside tests: say with `expect` why it cannot fail");
            self.report(line, message);
        }
    }

    /// Reports an error whose text holds its source: printed with its causes, it would say that
    /// twice (the rule of `anyhow` and `thiserror`: either print a source or return it).
    fn error_text(&mut self, attributes: &[Attribute], fields: &Fields) {
        let text = attributes.iter().find(|attribute| attribute.path().is_ident("error"));
        let Some(Ok(text)) = text.map(|attribute| attribute.meta.require_list()) else {
            return;
        };
        // Only the text itself: an argument behind it may well look into the source.
        let Some(TokenTree::Literal(literal)) = text.tokens.clone().into_iter().next() else {
            return;
        };
        let line = literal.span().start().line;
        let Ok(text) = syn::parse2::<LitStr>(TokenTree::Literal(literal).into()) else {
            return;
        };
        let text = text.value();
        for (place, field) in fields.iter().enumerate() {
            let name = field.ident.as_ref().map_or(place.to_string(), ToString::to_string);
            let returned = name == "source" || field.attrs.iter().any(is_source);
            let mut ends = ["}", ":"].into_iter();
            let printed = ends.any(|end| text.contains(&format!("{{{name}{end}")));
            if returned && printed {
                let message = format!("the error's text prints its source `{name}`: leave it out");
                self.report(line, message);
            }
        }
    }

    /// Visits what is inside an item whose attributes may make it test code.
    fn inside(&mut self, attributes: &[Attribute], visit: impl FnOnce(&mut Self)) {
        let outside = self.in_test;
        self.in_test |= is_test(attributes);
        visit(self);
        self.in_test = outside;
    }

    /// Finds the call in the tokens of a macro, which have no syntax tree.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut after_dot = false;
        let mut call = None;
        for token in tokens {
            let line = token.span().start().line;
            match &token {
                TokenTree::Group(group) => {
                    let is_call = group.delimiter() == Delimiter::Parenthesis;
                    if let Some(line) = call.take().filter(|_| is_call && group.stream().is_empty())
                    {
                        self.unwrap(line);
                    }
                    self.tokens(group.stream());
                    after_dot = false;
                }
                TokenTree::Ident(ident) => {
                    call = (after_dot && ident == UNWRAP).then_some(line);
                    after_dot = false;
                }
                TokenTree::Punct(punct) => {
                    call = None;
                    after_dot = punct.as_char() == '.' && punct.spacing() == Spacing::Alone;
                }
                TokenTree::Literal(_) => (call, after_dot) = (None, false),
            }
        }
    }
}

impl<'ast> Visit<'ast> for Visitor<'_> {
    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        self.inside(&module.attrs, |visitor| {
            visit::visit_item_mod(visitor, module);
        });
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        self.inside(&item.attrs, |visitor| visit::visit_item_impl(visitor, item));
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.function(&item.sig, &item.block);
        self.inside(&item.attrs, |visitor| visit::visit_item_fn(visitor, item));
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.function(&item.sig, &item.block);
        self.inside(&item.attrs, |visitor| {
            visit::visit_impl_item_fn(visitor, item);
        });
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(block) = &item.default {
            self.function(&item.sig, block);
        }
        visit::visit_trait_item_fn(self, item);
    }

    fn visit_variant(&mut self, variant: &'ast syn::Variant) {
        self.error_text(&variant.attrs, &variant.fields);
        visit::visit_variant(self, variant);
    }

    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        self.error_text(&item.attrs, &item.fields);
        visit::visit_item_struct(self, item);
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        if call.method == UNWRAP && call.args.is_empty() {
            self.unwrap(call.method.span().start().line);
        }
        visit::visit_expr_method_call(self, call);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.tokens(call.tokens.clone());
    }
}

fn is_source(attribute: &Attribute) -> bool {
    attribute.path().is_ident("source") || attribute.path().is_ident("from")
}

/// Recognises `#[cfg(test)]`, `#[test]` and the test attributes of others, such as
/// `#[tokio::test]`.
fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::List(list) if list.path.is_ident("cfg") => list.tokens.to_string() == "test",
        meta => meta.path().segments.last().is_some_and(|segment| segment.ident == "test"),
    })
}
