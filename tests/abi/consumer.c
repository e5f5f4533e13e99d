/* Uses every function of include/harshark.h, rightly and wrongly. consumer CAPTURE FOLDER */
#include <harshark.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int line_failed;

#define CHECK(what)                                                                                                    \
    do {                                                                                                               \
        if (!(what)) {                                                                                                 \
            fprintf(stderr, "%s:%d: not so: %s (last error: %s)\n", __FILE__, __LINE__, #what, harshark_last_error()); \
            line_failed++;                                                                                             \
        }                                                                                                              \
    } while (0)

struct bytes {
    char *data;
    size_t length, room;
};

static struct bytes read_file(const char *path)
{
    struct bytes bytes = {0};
    FILE *file = fopen(path, "rb");
    if (!file) {
        perror(path);
        exit(2);
    }
    size_t got;
    do {
        bytes.room = bytes.room ? bytes.room * 2 : 65536;
        bytes.data = realloc(bytes.data, bytes.room);
        got = fread(bytes.data + bytes.length, 1, bytes.room - bytes.length, file);
        bytes.length += got;
    } while (bytes.length == bytes.room);
    fclose(file);
    return bytes;
}

static int gather(void *user, const void *data, size_t length)
{
    struct bytes *bytes = user;
    if (bytes->length + length > bytes->room) {
        bytes->room = (bytes->length + length) * 2;
        bytes->data = realloc(bytes->data, bytes->room);
    }
    memcpy(bytes->data + bytes->length, data, length);
    bytes->length += length;
    return 0;
}

static int refuse(void *user, const void *data, size_t length)
{
    (void)data, (void)length;
    ++*(int *)user;
    return 1;
}

struct watch {
    int calls, cancel_after;
    int phases;
    harshark_session *session;
};

static int watch(void *user, int phase, uint64_t done, uint64_t total)
{
    struct watch *watch = user;
    (void)done, (void)total;
    watch->phases |= phase;
    /* A callback that calls back is refused, and frees nothing. */
    CHECK(harshark_finish(watch->session) == HARSHARK_ERROR_BUSY);
    CHECK(harshark_summary(watch->session) == NULL);
    harshark_free(watch->session);
    return ++watch->calls > watch->cancel_after && watch->cancel_after >= 0;
}

static uint16_t u16(const unsigned char *at) { return (uint16_t)(at[0] | at[1] << 8); }
static uint32_t u32(const unsigned char *at) { return u16(at) | (uint32_t)u16(at + 2) << 16; }

/* Pushes the packets of a little-endian pcapng file with nanoseconds or microseconds as frames. */
static uint64_t push_frames(harshark_session *session, const struct bytes *capture)
{
    const unsigned char *at = (const unsigned char *)capture->data, *end = at + capture->length;
    uint32_t link_type = 0;
    uint64_t frames = 0, unit = 1000;
    while (end - at >= 12 && u32(at + 4) >= 12 && u32(at + 4) <= (size_t)(end - at)) {
        uint32_t kind = u32(at), length = u32(at + 4);
        if (kind == 1) {
            link_type = u16(at + 8);
            for (const unsigned char *option = at + 16; option + 4 <= at + length - 4 && u16(option);
                 option += 4 + ((u16(option + 2) + 3) & ~3))
                if (u16(option) == 9)
                    unit = option[4] == 9 ? 1 : 1000;
        } else if (kind == 6) {
            harshark_frame frame;
            /* From the heap, freed at once: the library must not keep it. */
            uint32_t captured = u32(at + 20);
            void *data = malloc(captured ? captured : 1);
            memcpy(data, at + 28, captured);
            memset(&frame, 0, sizeof frame);
            frame.size = sizeof frame;
            frame.interface_id = u32(at + 8);
            frame.time_ns = (int64_t)(((uint64_t)u32(at + 12) << 32 | u32(at + 16)) * unit);
            frame.link_type = link_type;
            frame.captured_length = captured;
            frame.original_length = u32(at + 24);
            frame.data = data;
            CHECK(harshark_push_frame(session, &frame) == HARSHARK_OK);
            free(data);
            frames++;
        }
        at += length;
    }
    return frames;
}

static char *in_folder(const char *folder, const char *name)
{
    char *path = malloc(strlen(folder) + strlen(name) + 2);
    sprintf(path, "%s/%s", folder, name);
    return path;
}

static void options(void)
{
    size_t count = harshark_option_count();
    harshark_option option;
    CHECK(count > 10);
    for (size_t index = 0; index < count; index++) {
        CHECK(harshark_option_at(index, &option) == HARSHARK_OK);
        CHECK(strlen(option.name) > 0 && strlen(option.help) > 0 && option.default_value);
        CHECK((option.kind == HARSHARK_CHOICE) == (option.choices != NULL));
        harshark_session *session = harshark_new("options");
        if (option.kind <= HARSHARK_CHOICE)
            CHECK(harshark_set_option(session, option.name, option.default_value) == HARSHARK_OK);
        harshark_free(session);
    }
    CHECK(harshark_option_at(count, &option) == HARSHARK_ERROR_ARGUMENT);
    CHECK(harshark_option_at(0, NULL) == HARSHARK_ERROR_ARGUMENT);
}

static void bad_calls(const struct bytes *capture, const char *folder)
{
    harshark_frame frame;
    memset(&frame, 0, sizeof frame);
    harshark_free(NULL);
    CHECK(harshark_new(NULL) == NULL);
    CHECK(strstr(harshark_last_error(), "capture_name is NULL"));
    CHECK(harshark_new("\xff\xfe") == NULL);
    CHECK(harshark_set_option(NULL, "pages", "true") == HARSHARK_ERROR_ARGUMENT);
    CHECK(harshark_set_progress(NULL, NULL, NULL) == HARSHARK_ERROR_ARGUMENT);
    CHECK(harshark_push_frame(NULL, &frame) == HARSHARK_ERROR_ARGUMENT);
    CHECK(harshark_push_capture(NULL, "", 0) == HARSHARK_ERROR_ARGUMENT);
    CHECK(harshark_push_secrets(NULL, 0, "", 0) == HARSHARK_ERROR_ARGUMENT);
    CHECK(harshark_push_key_log(NULL, "", 0) == HARSHARK_ERROR_ARGUMENT);
    CHECK(harshark_finish(NULL) == HARSHARK_ERROR_ARGUMENT);
    CHECK(harshark_write_file(NULL, "x.har") == HARSHARK_ERROR_ARGUMENT);
    CHECK(harshark_rotate_file(NULL, "x.har") == HARSHARK_ERROR_ARGUMENT);
    CHECK(harshark_write(NULL, gather, NULL) == HARSHARK_ERROR_ARGUMENT);
    CHECK(harshark_convert(NULL, NULL, 0, NULL, 0, NULL) == HARSHARK_ERROR_ARGUMENT);
    CHECK(harshark_packets(NULL) == 0 && harshark_entries(NULL) == 0 && harshark_summary(NULL) == NULL);

    harshark_session *session = harshark_new("bad");
    CHECK(harshark_set_option(session, NULL, "true") == HARSHARK_ERROR_ARGUMENT);
    CHECK(harshark_set_option(session, "pages", NULL) == HARSHARK_ERROR_ARGUMENT);
    CHECK(harshark_set_option(session, "no-such", "1") == HARSHARK_ERROR_OPTION);
    CHECK(strstr(harshark_last_error(), "no-such"));
    CHECK(harshark_set_option(session, "pages", "perhaps") == HARSHARK_ERROR_OPTION);
    CHECK(harshark_push_frame(session, NULL) == HARSHARK_ERROR_ARGUMENT);
    CHECK(harshark_push_frame(session, &frame) == HARSHARK_ERROR_ARGUMENT); /* its size is 0 */
    frame.size = sizeof frame;
    frame.captured_length = 4;
    CHECK(harshark_push_frame(session, &frame) == HARSHARK_ERROR_ARGUMENT); /* data is NULL */
    frame.captured_length = 0;
    frame.comment = "\xc3";
    CHECK(harshark_push_frame(session, &frame) == HARSHARK_ERROR_ARGUMENT); /* half a character */
    CHECK(harshark_push_capture(session, NULL, 1) == HARSHARK_ERROR_ARGUMENT);
    CHECK(harshark_push_secrets(session, 1, NULL, 1) == HARSHARK_ERROR_ARGUMENT);
    CHECK(harshark_push_key_log(session, NULL, 1) == HARSHARK_ERROR_ARGUMENT);
    CHECK(harshark_write_file(session, NULL) == HARSHARK_ERROR_ARGUMENT);
    CHECK(harshark_write_file(session, "") == HARSHARK_ERROR_ARGUMENT);
    CHECK(harshark_write(session, NULL, NULL) == HARSHARK_ERROR_ARGUMENT);
    CHECK(harshark_convert(session, NULL, 1, NULL, 0, "x.har") == HARSHARK_ERROR_ARGUMENT);
    CHECK(harshark_packets(session) == 0);
    harshark_free(session);

    session = harshark_new("no capture");
    CHECK(harshark_push_capture(session, "this is no capture, but text that is long enough", 48) == HARSHARK_ERROR_CAPTURE);
    CHECK(harshark_set_option(session, "pages", "true") == HARSHARK_ERROR_ORDER);
    CHECK(harshark_finish(session) == HARSHARK_OK);
    CHECK(harshark_finish(session) == HARSHARK_ERROR_ORDER);
    CHECK(harshark_push_capture(session, capture->data, capture->length) == HARSHARK_ERROR_ORDER);
    CHECK(harshark_push_secrets(session, 0, "", 0) == HARSHARK_ERROR_ORDER);
    CHECK(harshark_push_key_log(session, "", 0) == HARSHARK_ERROR_ORDER);
    CHECK(harshark_rotate_file(session, "x.har") == HARSHARK_ERROR_ORDER);
    const char *none = "/no/such/capture";
    CHECK(harshark_convert(session, &none, 1, NULL, 0, "x.har") == HARSHARK_ERROR_ORDER);
    char *nowhere = in_folder(folder, "no/such/folder/x.har");
    CHECK(harshark_write_file(session, nowhere) == HARSHARK_ERROR_OUTPUT);
    CHECK(strstr(harshark_last_error(), nowhere));
    int calls = 0;
    CHECK(harshark_write(session, refuse, &calls) == HARSHARK_CANCELLED && calls == 1);
    harshark_free(session);

    session = harshark_new("convert");
    CHECK(harshark_convert(session, &none, 1, NULL, 0, nowhere) == HARSHARK_ERROR_CAPTURE);
    free(nowhere);
    harshark_free(session);
}

static void frames(const struct bytes *capture, const char *name, const char *folder)
{
    struct watch told = {0, -1, 0, NULL};
    harshark_session *session = harshark_new(name);
    told.session = session;
    CHECK(harshark_set_progress(session, watch, &told) == HARSHARK_OK);
    uint64_t pushed = push_frames(session, capture);
    CHECK(pushed > 0 && harshark_packets(session) == pushed);
    CHECK(harshark_push_secrets(session, HARSHARK_SECRETS_TLS_KEY_LOG, "# none\n", 7) == HARSHARK_OK);
    CHECK(harshark_push_key_log(session, "CLIENT_RAN", 10) == HARSHARK_OK);
    CHECK(harshark_push_key_log(session, "DOM broken\n", 11) == HARSHARK_OK);
    struct bytes early = {0}, har = {0};
    CHECK(harshark_write(session, gather, &early) == HARSHARK_OK);
    CHECK(harshark_finish(session) == HARSHARK_OK);
    CHECK(harshark_entries(session) > 0);
    char *path = in_folder(folder, "frames.har");
    CHECK(harshark_write_file(session, path) == HARSHARK_OK);
    CHECK(harshark_write(session, gather, &har) == HARSHARK_OK);
    struct bytes file = read_file(path);
    CHECK(file.length == har.length && !memcmp(file.data, har.data, har.length));
    CHECK(early.length > 0 && early.length <= har.length);
    CHECK(strstr(harshark_summary(session), "\"finished\":true"));
    CHECK(strstr(harshark_summary(session), "\"dropped\":{") && strstr(harshark_summary(session), "\"missing\":{\"bytes\":"));
    CHECK(told.phases == (HARSHARK_READING | HARSHARK_WRITING) && told.calls >= 4);

    /* Cancelled while writing: the file stays as it was. */
    told.calls = 0, told.cancel_after = 0;
    CHECK(harshark_write_file(session, path) == HARSHARK_CANCELLED);
    struct bytes still = read_file(path);
    CHECK(still.length == file.length && !memcmp(still.data, file.data, file.length));
    free(still.data), free(file.data), free(har.data), free(early.data), free(path);
    harshark_free(session);
}

static void capture_bytes(const struct bytes *capture, const char *name, const char *folder)
{
    harshark_session *session = harshark_new(name);
    for (size_t at = 0; at < capture->length; at += 1000)
        CHECK(harshark_push_capture(session, capture->data + at,
                                    capture->length - at < 1000 ? capture->length - at : 1000) == HARSHARK_OK);
    CHECK(harshark_finish(session) == HARSHARK_OK);
    char *path = in_folder(folder, "bytes.har");
    CHECK(harshark_write_file(session, path) == HARSHARK_OK);
    free(path);
    harshark_free(session);

    /* In parts. */
    session = harshark_new(name);
    size_t half = capture->length / 2;
    CHECK(harshark_push_capture(session, capture->data, half) == HARSHARK_OK);
    path = in_folder(folder, "part1.har");
    CHECK(harshark_rotate_file(session, path) == HARSHARK_OK);
    free(path);
    CHECK(harshark_entries(session) == 0 && harshark_packets(session) == 0);
    CHECK(harshark_push_capture(session, capture->data + half, capture->length - half) == HARSHARK_OK);
    CHECK(harshark_finish(session) == HARSHARK_OK);
    path = in_folder(folder, "part2.har");
    CHECK(harshark_write_file(session, path) == HARSHARK_OK);
    free(path);
    harshark_free(session);

    /* Cancelled while reading: what came can be written. */
    session = harshark_new(name);
    struct watch told = {0, 1, 0, session};
    CHECK(harshark_set_progress(session, watch, &told) == HARSHARK_OK);
    CHECK(harshark_push_capture(session, capture->data, half) == HARSHARK_OK);
    CHECK(harshark_push_capture(session, capture->data + half, capture->length - half) == HARSHARK_CANCELLED);
    CHECK(harshark_push_capture(session, capture->data + half, capture->length - half) == HARSHARK_CANCELLED);
    CHECK(harshark_set_progress(session, NULL, NULL) == HARSHARK_OK);
    CHECK(harshark_finish(session) == HARSHARK_OK);
    struct bytes har = {0};
    CHECK(harshark_write(session, gather, &har) == HARSHARK_OK && har.length > 0);
    free(har.data);
    harshark_free(session);
}

static void convert(const char *path, const char *folder)
{
    harshark_session *session = harshark_new("not used");
    struct watch told = {0, -1, 0, session};
    CHECK(harshark_set_progress(session, watch, &told) == HARSHARK_OK);
    char *har = in_folder(folder, "convert.har"), *keys = in_folder(folder, "no.keys");
    const char *key_log = keys;
    CHECK(harshark_convert(session, &path, 1, &key_log, 1, har) == HARSHARK_ERROR_KEY_LOG);
    CHECK(harshark_convert(session, &path, 1, NULL, 0, path) == HARSHARK_ERROR_OUTPUT);
    CHECK(harshark_convert(session, &path, 1, NULL, 0, har) == HARSHARK_OK);
    CHECK(told.calls > 0 && harshark_packets(session) > 0 && harshark_entries(session) > 0);
    CHECK(strstr(harshark_summary(session), "\"pages\":"));
    CHECK(harshark_write_file(session, har) == HARSHARK_ERROR_ORDER);
    CHECK(harshark_finish(session) == HARSHARK_ERROR_ORDER);
    free(har), free(keys);
    harshark_free(session);
}

int main(int count, char **words)
{
    if (count != 3)
        return 2;
    CHECK(harshark_abi() == HARSHARK_ABI);
    CHECK(strlen(harshark_version()) > 0);
    CHECK(!strcmp(harshark_last_error(), ""));
    struct bytes capture = read_file(words[1]);
    const char *slash = strrchr(words[1], '/'), *name = slash ? slash + 1 : words[1];
    options();
    bad_calls(&capture, words[2]);
    frames(&capture, name, words[2]);
    capture_bytes(&capture, name, words[2]);
    convert(words[1], words[2]);
    free(capture.data);
    return line_failed != 0;
}
