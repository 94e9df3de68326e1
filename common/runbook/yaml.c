/*
 * yaml.c - the YAML that a runbook may hold: one mapping whose values are scalars, lists of scalars, or mappings of
 * scalars. libyaml gives the structure and the marks; scalars stay text, and whoever reads a key says what it means.
 */
#include "common/runbook/compile.h"

#include <string.h>
#include <yaml.h>

struct rb_yaml {
    yaml_document_t document;
    const struct rb_fence *fence; /* or */
    uint32_t base;                /* the line before the first */
    yaml_node_t *value;           /* of the key at hand */
    const char *key;
};

static struct rb_place place_of(const struct rb *rb, const struct rb_yaml *yaml, yaml_mark_t mark)
{
    if (yaml->fence == NULL)
        return (struct rb_place){yaml->base + 1 + (uint32_t)mark.line, 1 + (uint32_t)mark.column};
    const char *p = yaml->fence->text;
    for (size_t line = 0; line < mark.line && strchr(p, '\n') != NULL; line++)
        p = strchr(p, '\n') + 1;
    struct rb_place at = rb_place_in_fence(rb, yaml->fence, (size_t)(p - yaml->fence->text));
    at.column += (uint32_t)mark.column;
    return at;
}

static const char *scalar_text(struct rb *rb, const yaml_node_t *node)
{
    return rb_copy(rb, (const char *)node->data.scalar.value, node->data.scalar.length);
}

static bool load(struct rb *rb, struct rb_yaml *yaml, const char *text, size_t n)
{
    yaml_parser_t parser;
    if (yaml_parser_initialize(&parser) == 0)
        return false;
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, n);
    bool ok = yaml_parser_load(&parser, &yaml->document) != 0;
    if (!ok)
        rb_error(rb, "yaml-syntax", place_of(rb, yaml, parser.problem_mark),
                 "Write one \"key: value\" a line, indented by blanks and not by tabs; put a value with special "
                 "characters into quotes.",
                 "%s", parser.problem != NULL ? parser.problem : "this is not YAML");
    yaml_parser_delete(&parser);
    return ok;
}

static bool is_repeated(const struct rb_yaml *yaml, const yaml_node_t *mapping, const yaml_node_pair_t *pair)
{
    yaml_document_t *document = (yaml_document_t *)(uintptr_t)&yaml->document;
    const yaml_node_t *key = yaml_document_get_node(document, pair->key);
    for (const yaml_node_pair_t *p = mapping->data.mapping.pairs.start; p < pair; p++) {
        const yaml_node_t *other = yaml_document_get_node(document, p->key);
        if (other->type == YAML_SCALAR_NODE && other->data.scalar.length == key->data.scalar.length &&
            memcmp(other->data.scalar.value, key->data.scalar.value, key->data.scalar.length) == 0)
            return true;
    }
    return false;
}

/* The key of a pair, NULL with a finding. */
static const char *key_of(struct rb *rb, struct rb_yaml *yaml, const yaml_node_t *mapping, const yaml_node_pair_t *pair,
                          struct rb_place *out_at)
{
    const yaml_node_t *key = yaml_document_get_node(&yaml->document, pair->key);
    *out_at = place_of(rb, yaml, key->start_mark);
    if (key->type != YAML_SCALAR_NODE) {
        rb_error(rb, "yaml-shape", *out_at, NULL, "a key must be a word");
        return NULL;
    }
    const char *name = scalar_text(rb, key);
    if (!is_repeated(yaml, mapping, pair))
        return name;
    rb_error(rb, "yaml-duplicate", *out_at, "Keep one of them.", "key \"%s\" is there twice", name);
    return NULL;
}

bool rb_yaml_read(struct rb *rb, const char *text, size_t n, const struct rb_fence *fence, uint32_t base,
                  rb_yaml_key *on_key, void *ctx)
{
    struct rb_yaml *yaml = rb_alloc(rb, sizeof *yaml);
    yaml->fence = fence;
    yaml->base = base;
    if (!load(rb, yaml, text, n))
        return false;
    yaml_node_t *root = yaml_document_get_root_node(&yaml->document);
    if (root != NULL && root->type != YAML_MAPPING_NODE) {
        rb_error(rb, "yaml-shape", place_of(rb, yaml, root->start_mark), "Write one \"key: value\" a line.",
                 "this is not a list of keys and values");
    } else if (root != NULL) {
        for (const yaml_node_pair_t *p = root->data.mapping.pairs.start; p < root->data.mapping.pairs.top; p++) {
            struct rb_place at;
            const char *key = key_of(rb, yaml, root, p, &at);
            yaml->value = yaml_document_get_node(&yaml->document, p->value);
            yaml->key = key;
            if (key != NULL)
                on_key(rb, yaml, key, at, ctx);
        }
    }
    yaml_document_delete(&yaml->document);
    return true;
}

static void shape(struct rb *rb, const struct rb_yaml *yaml, const yaml_node_t *node, const char *expected)
{
    rb_error(rb, "yaml-shape", place_of(rb, yaml, node->start_mark), rb_format(rb, "Write %s.", expected),
             "the value of \"%s\" has the wrong shape", yaml->key);
}

const char *rb_yaml_scalar(struct rb *rb, struct rb_yaml *yaml, const char *expected, struct rb_place *out_at)
{
    *out_at = place_of(rb, yaml, yaml->value->start_mark);
    if (yaml->value->type == YAML_SCALAR_NODE)
        return scalar_text(rb, yaml->value);
    shape(rb, yaml, yaml->value, expected);
    return NULL;
}

void rb_yaml_sequence(struct rb *rb, struct rb_yaml *yaml, const char *expected, rb_yaml_item *on_item, void *ctx)
{
    const yaml_node_t *value = yaml->value;
    if (value->type == YAML_SCALAR_NODE) {
        on_item(rb, scalar_text(rb, value), place_of(rb, yaml, value->start_mark), ctx);
        return;
    }
    if (value->type != YAML_SEQUENCE_NODE) {
        shape(rb, yaml, value, expected);
        return;
    }
    for (const yaml_node_item_t *p = value->data.sequence.items.start; p < value->data.sequence.items.top; p++) {
        const yaml_node_t *item = yaml_document_get_node(&yaml->document, *p);
        if (item->type == YAML_SCALAR_NODE)
            on_item(rb, scalar_text(rb, item), place_of(rb, yaml, item->start_mark), ctx);
        else
            shape(rb, yaml, item, expected);
    }
}

void rb_yaml_mapping(struct rb *rb, struct rb_yaml *yaml, const char *expected, rb_yaml_pair *on_pair, void *ctx)
{
    const yaml_node_t *mapping = yaml->value;
    if (mapping->type != YAML_MAPPING_NODE) {
        shape(rb, yaml, mapping, expected);
        return;
    }
    for (const yaml_node_pair_t *p = mapping->data.mapping.pairs.start; p < mapping->data.mapping.pairs.top; p++) {
        struct rb_place at;
        const char *key = key_of(rb, yaml, mapping, p, &at);
        const yaml_node_t *value = yaml_document_get_node(&yaml->document, p->value);
        if (key != NULL && value->type != YAML_SCALAR_NODE)
            shape(rb, yaml, value, expected);
        else if (key != NULL)
            on_pair(rb, key, at, scalar_text(rb, value), place_of(rb, yaml, value->start_mark), ctx);
    }
}
