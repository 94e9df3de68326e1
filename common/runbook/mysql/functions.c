/*
 * functions.c - the functions that MySQL and MariaDB have in common, as far as a plan may use them, and the words that
 * cannot be names.
 *
 * A function that is not listed may be the application's own: it would run inside of the application's statements with
 * the rights of the agent's locked account, and give another value on another shard.
 */
#include <string.h>

#include "common/runbook/mysql/parse.h"

/* Names between single blanks, one in front and one behind. */
static const char immutable[] =
    " abs acos adddate addtime ascii asin atan atan2 bin bit_count bit_length ceil ceiling char char_length"
    " character_length coalesce concat concat_ws conv cos cot crc32 date date_add date_sub datediff day dayofmonth"
    " dayofweek dayofyear degrees elt exp export_set extract field find_in_set floor from_base64 from_days greatest"
    " hex hour if ifnull inet_aton inet_ntoa inet6_aton inet6_ntoa insert instr is_ipv4 is_ipv6 isnull json_array"
    " json_array_append json_array_insert json_contains json_contains_path json_depth json_extract json_insert"
    " json_keys json_length json_merge_patch json_merge_preserve json_object json_quote json_remove json_replace"
    " json_search json_set json_type json_unquote json_valid json_value last_day lcase least left length ln locate"
    " log log10 log2 lower lpad ltrim make_set makedate maketime microsecond mid minute mod month nullif oct"
    " octet_length ord period_add period_diff pi position pow power quarter quote radians regexp_instr"
    " regexp_replace regexp_substr repeat replace reverse right round rpad rtrim sec_to_time second sha2"
    " sign sin soundex space sqrt strcmp subdate substr substring substring_index subtime tan time time_to_sec"
    " timediff timestamp timestampadd timestampdiff to_base64 to_days to_seconds trim truncate ucase unhex upper"
    " weekday weekofyear year ";
/* Another value under other settings (time_zone, lc_time_names, default_week_format), which agents pin. */
static const char stable[] = " convert_tz date_format dayname format from_unixtime monthname str_to_date time_format"
                             " unix_timestamp week yearweek ";
static const char volatile_allowed[] = " rand random_bytes uuid uuid_short ";
static const char now_like[] = " curdate current_date current_time current_timestamp curtime localtime localtimestamp"
                               " now sysdate utc_date utc_time utc_timestamp ";
static const char sequence[] = " lastval nextval setval ";
static const char aggregate[] =
    " avg bit_and bit_or bit_xor count cume_dist dense_rank first_value group_concat json_arrayagg json_objectagg lag"
    " last_value lead max min nth_value ntile percent_rank rank row_number std stddev stddev_pop stddev_samp sum"
    " var_pop var_samp variance ";
static const char set_returning[] = " json_table ";
static const char session[] =
    " benchmark connection_id current_role current_user database default found_rows get_lock is_free_lock"
    " is_used_lock last_insert_id load_file master_pos_wait release_all_locks release_lock row_count schema"
    " session_user sleep source_pos_wait system_user user values version wait_for_executed_gtid_set ";

static bool holds(const char *list, const char *name)
{
    size_t n = strlen(name);
    for (const char *p = list; n > 0 && (p = strstr(p, name)) != NULL; p++) {
        if (p[-1] == ' ' && p[n] == ' ')
            return true;
    }
    return false;
}

enum rb_function_kind my_function_kind(const char *name)
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

/* Reserved by MySQL 8.0 to 9 or by MariaDB 10.6 to 11. */
static const char reserved[] =
    " accessible add all alter analyze and as asc asensitive before between bigint binary blob both by call cascade"
    " case change char character check collate column condition constraint continue convert create cross cube"
    " cume_dist current_date current_role current_time current_timestamp current_user cursor database databases"
    " day_hour day_microsecond day_minute day_second dec decimal declare default delayed delete dense_rank desc"
    " describe deterministic distinct distinctrow div do_domain_ids double drop dual each else elseif empty enclosed"
    " escaped except exists exit explain false fetch first_value float float4 float8 for force foreign from fulltext"
    " function generated get grant group grouping groups having high_priority hour_microsecond hour_minute"
    " hour_second if ignore ignore_domain_ids in index infile inner inout insensitive insert int int1 int2 int3"
    " int4 int8 integer intersect interval into io_after_gtids io_before_gtids is iterate join json_table key keys"
    " kill lag last_value lateral lead leading leave left like limit linear lines load localtime localtimestamp lock"
    " long longblob longtext loop low_priority manual master_bind master_heartbeat_period"
    " master_ssl_verify_server_cert match maxvalue mediumblob mediumint mediumtext middleint minute_microsecond"
    " minute_second mod modifies natural no_write_to_binlog not nth_value ntile null numeric of offset on optimize"
    " optimizer_costs option optionally or order out outer outfile over page_checksum parallel parse_vcol_expr"
    " partition percent_rank precision primary procedure purge qualify range rank read read_write reads real"
    " recursive ref_system_id references regexp release rename repeat replace require resignal restrict return"
    " returning revoke right rlike row row_number rows schema schemas second_microsecond select sensitive separator"
    " set show signal smallint spatial specific sql sql_big_result sql_calc_found_rows sql_small_result"
    " sqlexception sqlstate sqlwarning ssl starting stats_auto_recalc stats_persistent stats_sample_pages stored"
    " straight_join system table tablesample terminated then tinyblob tinyint tinytext to trailing trigger true undo"
    " union unique unlock unsigned update usage use using utc_date utc_time utc_timestamp values varbinary varchar"
    " varcharacter varying vector virtual when where while window with write xor year_month zerofill ";

bool rb_mysql_is_reserved(const char *word)
{
    return holds(reserved, word);
}

static const char types[] =
    " bigint binary bit blob bool boolean char character date datetime dec decimal double enum fixed float geometry"
    " geometrycollection inet4 inet6 int int1 int2 int3 int4 int8 integer json linestring longblob longtext mediumblob"
    " mediumint mediumtext multilinestring multipoint multipolygon national nchar numeric nvarchar point polygon real"
    " serial set smallint text time timestamp tinyblob tinyint tinytext uuid varbinary varchar varcharacter year ";

bool my_is_type(const char *word)
{
    char low[32];
    size_t n = strlen(word);
    if (n >= sizeof low)
        return false;
    for (size_t i = 0; i <= n; i++)
        low[i] = rb_lower(word[i]);
    return holds(types, low);
}
