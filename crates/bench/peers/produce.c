/* Sends readings that are ready in memory as fast as librdkafka takes them: keyed, with the header of
 * the data contract, idempotent, acks=all, lz4. What is left is the price of the library. */

#include <rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct reading {
    const char *key;
    const char *value;
    size_t key_length;
    size_t value_length;
};

struct readings {
    struct reading *items;
    size_t count;
};

static long long acknowledged = 0;
static long long failed = 0;

static void fail(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s\n", what, why);
    exit(1);
}

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* One reading a line: the key, a tab, the value. */
static struct readings load(const char *path)
{
    struct readings readings = {NULL, 0};
    FILE *file = fopen(path, "rb");
    if (file == NULL || fseek(file, 0, SEEK_END) != 0)
        fail("cannot read the readings", path);
    long size = ftell(file);
    rewind(file);
    char *text = size > 0 ? malloc((size_t)size) : NULL;
    if (text == NULL || fread(text, 1, (size_t)size, file) != (size_t)size)
        fail("cannot read the readings", path);
    fclose(file);
    size_t room = 0;
    for (char *line = text, *end = text + size; line < end;) {
        char *newline = memchr(line, '\n', (size_t)(end - line));
        char *tab = newline ? memchr(line, '\t', (size_t)(newline - line)) : NULL;
        if (tab == NULL)
            fail("a line is no reading", path);
        if (readings.count == room) {
            room = room ? 2 * room : 1024;
            readings.items = realloc(readings.items, room * sizeof(struct reading));
            if (readings.items == NULL)
                fail("no memory", path);
        }
        struct reading reading = {line, tab + 1, (size_t)(tab - line), (size_t)(newline - tab - 1)};
        readings.items[readings.count++] = reading;
        line = newline + 1;
    }
    return readings;
}

static void delivered(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque)
{
    (void)client;
    (void)opaque;
    if (message->err)
        failed++;
    else
        acknowledged++;
}

static void set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
    char why[256];
    if (rd_kafka_conf_set(conf, name, value, why, sizeof(why)) != RD_KAFKA_CONF_OK)
        fail(name, why);
}

static rd_kafka_t *connect_to(const char *brokers)
{
    char why[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "bootstrap.servers", brokers);
    set(conf, "enable.idempotence", "true");
    set(conf, "acks", "all");
    set(conf, "compression.type", "lz4");
    set(conf, "partitioner", "murmur2_random");
    set(conf, "linger.ms", "5");
    set(conf, "queue.buffering.max.messages", "100000");
    rd_kafka_conf_set_dr_msg_cb(conf, delivered);
    rd_kafka_t *client = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof(why));
    if (client == NULL)
        fail("no client", why);
    return client;
}

static void send_one(rd_kafka_t *client, const char *topic, const struct reading *reading)
{
    rd_kafka_resp_err_t err;
    do {
        /* Without RD_KAFKA_MSG_F_COPY nothing is copied: the readings outlive the client. */
        err = rd_kafka_producev(client, RD_KAFKA_V_TOPIC(topic),
                                RD_KAFKA_V_KEY((void *)reading->key, reading->key_length),
                                RD_KAFKA_V_VALUE((void *)reading->value, reading->value_length),
                                RD_KAFKA_V_HEADER("schema-version", "1", 1), RD_KAFKA_V_END);
        if (err == RD_KAFKA_RESP_ERR__QUEUE_FULL)
            rd_kafka_poll(client, 10);
        else if (err)
            fail("a reading is refused", rd_kafka_err2str(err));
    } while (err);
}

int main(int argc, char **argv)
{
    if (argc != 5)
        fail("usage", "produce BROKERS TOPIC FILE READINGS");
    struct readings readings = load(argv[3]);
    long long wanted = atoll(argv[4]);
    rd_kafka_t *client = connect_to(argv[1]);
    double start_s = now_s();
    for (long long index = 0; index < wanted; index++) {
        send_one(client, argv[2], &readings.items[(size_t)index % readings.count]);
        if (index % 1000 == 0)
            rd_kafka_poll(client, 0);
    }
    rd_kafka_flush(client, 60000);
    double wall_s = now_s() - start_s;
    if (acknowledged != wanted || failed)
        fail("readings are missing", "not all were acknowledged");
    fprintf(stderr, "{\"level\":\"INFO\",\"message\":\"done\",\"readings_per_s\":%.1f}\n", (double)wanted / wall_s);
    rd_kafka_destroy(client);
    return 0;
}
