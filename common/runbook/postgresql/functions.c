/*
 * functions.c - the names that pg_catalog offers, as far as a plan may use them (taken from PostgreSQL 15's pg_proc,
 * pg_type and pg_opclass).
 *
 * The compiler sees no catalogue, and the agent's sessions have search_path = pg_catalog: a function that is not listed
 * here is refused, since it may live in a schema that the application's role cannot use, and would then fail inside the
 * application's own INSERT. Operators' inner functions, type input and output, and everything that looks at the server
 * are left out on purpose.
 */
#include "common/runbook/postgresql/tree.h"

#include <string.h>

/* Names between single blanks, one in front and one behind. */
static const char immutable[] =
    " abbrev abs acos acosd acosh area array_append array_cat array_dims array_fill array_length array_lower"
    " array_ndims array_position array_positions array_prepend array_remove array_replace array_to_tsvector"
    " array_upper ascii asin asind asinh atan atan2 atan2d atand atanh bit bit_count bit_length bool box bpchar btrim"
    " bytea cardinality cash_words cbrt ceil ceiling center char char_length character_length chr cidr circle cos"
    " cosd cosh cot cotd date date_bin date_part date_trunc datemultirange daterange decode degrees diagonal"
    " diameter div dpow encode exp extract factorial family float4 float8 floor gcd get_bit get_byte height host"
    " hostmask inet_merge initcap int2 int4 int4multirange int4range int8 int8multirange int8range interval"
    " is_normalized isclosed isempty isfinite ishorizontal isopen isparallel isperp isvertical json_array_length"
    " json_extract_path json_extract_path_text json_object json_strip_nulls json_to_tsvector json_typeof"
    " like_escape similar_to_escape"
    " jsonb_array_element_text jsonb_array_length jsonb_extract_path jsonb_extract_path_text jsonb_insert"
    " jsonb_object jsonb_path_exists jsonb_path_match jsonb_path_query_array jsonb_path_query_first jsonb_pretty"
    " jsonb_set jsonb_set_lax jsonb_strip_nulls jsonb_to_tsvector jsonb_typeof justify_days justify_hours"
    " justify_interval lcm left length line ln log log10 lower lower_inc lower_inf lpad lseg ltrim macaddr"
    " macaddr8 macaddr8_set7bit make_date make_interval make_time make_timestamp masklen md5 min_scale mod"
    " multirange name netmask network normalize npoints num_nonnulls num_nulls numeric nummultirange numnode"
    " numrange octet_length overlaps overlay parse_ident path phraseto_tsquery pi plainto_tsquery point polygon"
    " position pow power quote_ident quote_literal quote_nullable radians radius range_merge regexp_count"
    " regexp_instr regexp_like regexp_match regexp_replace regexp_split_to_array regexp_substr repeat replace"
    " reverse right round rpad rtrim scale set_bit set_byte set_masklen setweight sha224 sha256 sha384 sha512"
    " sign sin sind sinh slope split_part sqrt starts_with string_to_array strip strpos substr substring tan tand"
    " tanh text time timestamp timestamptz timetz timezone to_ascii to_hex to_timestamp to_tsquery to_tsvector"
    " translate trim_array trim_scale trunc ts_delete ts_filter ts_headline ts_rank ts_rank_cd ts_rewrite"
    " tsmultirange tsrange tstzmultirange tstzrange tsvector_to_array unistr upper upper_inc upper_inf uuid"
    " varbit varchar websearch_to_tsquery width width_bucket xml_is_well_formed_content"
    " xml_is_well_formed_document xmlcomment xpath xpath_exists ";
static const char stable[] =
    " age array_to_json array_to_string concat concat_ws convert convert_from convert_to enum_first enum_last"
    " enum_range format json_build_array json_build_object jsonb_build_array jsonb_build_object"
    " jsonb_path_exists_tz jsonb_path_match_tz jsonb_path_query_array_tz jsonb_path_query_first_tz"
    " make_timestamptz money row_to_json to_char to_date to_json to_jsonb to_number xml_is_well_formed ";
static const char volatile_allowed[] = " gen_random_uuid random ";

static const char now_like[] = " clock_timestamp now statement_timestamp timeofday transaction_timestamp ";

static const char sequence[] = " currval lastval nextval setval ";

static const char aggregate[] =
    " array_agg avg bit_and bit_or bit_xor bool_and bool_or corr count covar_pop covar_samp cume_dist dense_rank"
    " every first_value json_agg json_object_agg jsonb_agg jsonb_object_agg lag last_value lead max min mode"
    " nth_value ntile percent_rank percentile_cont percentile_disc range_agg range_intersect_agg rank regr_avgx"
    " regr_avgy regr_count regr_intercept regr_r2 regr_slope regr_sxx regr_sxy regr_syy row_number stddev"
    " stddev_pop stddev_samp string_agg sum var_pop var_samp variance xmlagg ";
static const char set_returning[] =
    " generate_series generate_subscripts json_array_elements json_array_elements_text json_each json_each_text"
    " json_object_keys json_to_recordset jsonb_array_elements jsonb_array_elements_text jsonb_each"
    " jsonb_each_text jsonb_object_keys jsonb_path_query jsonb_to_recordset regexp_matches regexp_split_to_table"
    " string_to_table ts_stat unnest ";
static const char session[] =
    " current_database current_query current_schema current_schemas current_setting current_user getpgusername"
    " has_column_privilege has_table_privilege inet_client_addr inet_client_port inet_server_addr"
    " inet_server_port pg_backend_pid pg_current_snapshot pg_current_wal_lsn pg_current_xact_id"
    " pg_current_xact_id_if_assigned pg_is_in_recovery pg_postmaster_start_time pg_sleep pg_trigger_depth"
    " session_user set_config txid_current txid_current_if_assigned txid_current_snapshot txid_status version ";
static const char types[] =
    " aclitem bigserial bit bool box bpchar bytea char cid cidr circle date datemultirange daterange float4"
    " float8 gtsvector inet int2 int2vector int4 int4multirange int4range int8 int8multirange int8range interval"
    " json jsonb jsonpath line lseg macaddr macaddr8 money name numeric nummultirange numrange oid oidvector path"
    " pg_lsn point polygon refcursor regclass regcollation regconfig regdictionary regnamespace regoper"
    " regoperator regproc regprocedure regrole regtype serial serial2 serial4 serial8 smallserial text tid time"
    " timestamp timestamptz timetz tsmultirange tsquery tsrange tstzmultirange tstzrange tsvector txid_snapshot"
    " uuid varbit varchar xid xid8 xml"
    /* of functions alone */
    " any anyarray anycompatible anycompatiblearray anyelement anyenum anyrange event_trigger internal record trigger"
    " void ";
static const char operator_classes[] =
    " aclitem_ops array_ops bit_minmax_ops bit_ops bool_ops box_inclusion_ops box_ops bpchar_bloom_ops"
    " bpchar_minmax_ops bpchar_ops bpchar_pattern_ops bytea_bloom_ops bytea_minmax_ops bytea_ops char_bloom_ops"
    " char_minmax_ops char_ops cid_ops cidr_ops circle_ops date_bloom_ops date_minmax_multi_ops date_minmax_ops"
    " date_ops enum_ops float4_bloom_ops float4_minmax_multi_ops float4_minmax_ops float4_ops float8_bloom_ops"
    " float8_minmax_multi_ops float8_minmax_ops float8_ops inet_bloom_ops inet_inclusion_ops"
    " inet_minmax_multi_ops inet_minmax_ops inet_ops int2_bloom_ops int2_minmax_multi_ops int2_minmax_ops"
    " int2_ops int4_bloom_ops int4_minmax_multi_ops int4_minmax_ops int4_ops int8_bloom_ops int8_minmax_multi_ops"
    " int8_minmax_ops int8_ops interval_bloom_ops interval_minmax_multi_ops interval_minmax_ops interval_ops"
    " jsonb_ops jsonb_path_ops kd_point_ops macaddr8_bloom_ops macaddr8_minmax_multi_ops macaddr8_minmax_ops"
    " macaddr8_ops macaddr_bloom_ops macaddr_minmax_multi_ops macaddr_minmax_ops macaddr_ops money_ops"
    " multirange_ops name_bloom_ops name_minmax_ops name_ops numeric_bloom_ops numeric_minmax_multi_ops"
    " numeric_minmax_ops numeric_ops oid_bloom_ops oid_minmax_multi_ops oid_minmax_ops oid_ops oidvector_ops"
    " pg_lsn_bloom_ops pg_lsn_minmax_multi_ops pg_lsn_minmax_ops pg_lsn_ops point_ops poly_ops quad_point_ops"
    " range_inclusion_ops range_ops record_image_ops record_ops text_bloom_ops text_minmax_ops text_ops"
    " text_pattern_ops tid_bloom_ops tid_minmax_multi_ops tid_minmax_ops tid_ops time_bloom_ops"
    " time_minmax_multi_ops time_minmax_ops time_ops timestamp_bloom_ops timestamp_minmax_multi_ops"
    " timestamp_minmax_ops timestamp_ops timestamptz_bloom_ops timestamptz_minmax_multi_ops"
    " timestamptz_minmax_ops timestamptz_ops timetz_bloom_ops timetz_minmax_multi_ops timetz_minmax_ops"
    " timetz_ops tsquery_ops tsvector_ops uuid_bloom_ops uuid_minmax_multi_ops uuid_minmax_ops uuid_ops"
    " varbit_minmax_ops varbit_ops varchar_ops varchar_pattern_ops xid8_ops xid_ops ";
static bool holds(const char *list, const char *name)
{
    size_t n = strlen(name);
    for (const char *p = list; n > 0 && (p = strstr(p, name)) != NULL; p++) {
        if (p[-1] == ' ' && p[n] == ' ')
            return true;
    }
    return false;
}

enum rb_function_kind rb_function_kind(const char *name)
{
    const struct {
        const char *list;
        enum rb_function_kind kind;
    } rows[] = {
        {immutable, RB_FUNCTION_IMMUTABLE}, {stable, RB_FUNCTION_STABLE},     {volatile_allowed, RB_FUNCTION_VOLATILE},
        {now_like, RB_FUNCTION_NOW},        {session, RB_FUNCTION_SESSION},   {sequence, RB_FUNCTION_SEQUENCE},
        {aggregate, RB_FUNCTION_AGGREGATE}, {set_returning, RB_FUNCTION_SET},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (holds(rows[i].list, name))
            return rows[i].kind;
    }
    return RB_FUNCTION_UNKNOWN;
}

/* Of versions that came later: a plan is for every server that may get it. */
static const struct {
    const char *names;
    int since;
} newer[] = {
    {" any_value array_sample array_shuffle date_add date_subtract erf erfc json_array json_scalar pg_input_error_info"
     " pg_input_is_valid random_normal system_user ",
     16},
    {" json_exists json_query json_serialize json_value merge_action to_bin to_oct unicode_assigned"
     " uuid_extract_timestamp uuid_extract_version xmltext ",
     17},
    {" array_reverse array_sort casefold crc32 crc32c gamma lgamma uuidv4 uuidv7 ", 18},
};

int rb_function_since(const char *name)
{
    for (size_t i = 0; i < sizeof newer / sizeof newer[0]; i++) {
        if (holds(newer[i].names, name))
            return newer[i].since;
    }
    return 0;
}

const char *rb_function_hint(struct rb *rb, const char *name, const char *other)
{
    int since = rb_function_since(name);
    if (since == 0)
        return other;
    if (strcmp(name, "uuidv7") != 0 && strcmp(name, "uuidv4") != 0)
        return rb_format(rb,
                         "It is of PostgreSQL %d and later, and plans are made of what version 15 has. Write it with "
                         "functions of that version.",
                         since);
    return rb_format(
        rb,
        "It is of PostgreSQL %d and later, and plans are made of what version 15 has. Rows that exist can "
        "have gen_random_uuid(), or what the application writes. Where every server has it, new rows get it "
        "from a default that is set as-is: ALTER TABLE … ALTER COLUMN … SET DEFAULT pg_catalog.%s(), in a "
        "```sql {as-is lock=short}.",
        since, name);
}

bool rb_type_is_built_in(const char *name)
{
    return holds(types, name);
}

bool rb_operator_class_is_built_in(const char *name)
{
    return holds(operator_classes, name);
}
