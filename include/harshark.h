/*
 * harshark: packet captures become HAR (HTTP Archive 1.2).
 *
 *     harshark_session *session = harshark_new("lo");
 *     harshark_set_option(session, "sanitize", "basic");
 *     while (...)
 *         harshark_push_frame(session, &frame);      or harshark_push_capture(session, bytes, length)
 *     harshark_finish(session);
 *     harshark_write_file(session, "lo.har");
 *     harshark_free(session);
 *
 * Order. harshark_new; options, progress; then frames, capture bytes and secrets as they come; harshark_finish; harshark_free.
 * The HAR may be written at any time and as often as wanted: before harshark_finish it holds the entries that are over so
 * far and the session goes on; after it, it holds all. A call in the wrong order gives HARSHARK_ERROR_ORDER and changes nothing.
 *
 * Results. Calls that can fail give a harshark_status as int: 0 is good, below 0 an error, HARSHARK_CANCELLED above 0. The
 * text of the last failure of the calling thread is harshark_last_error(). After HARSHARK_ERROR_ARGUMENT, _ORDER, _BUSY and
 * _OPTION nothing has changed and the session goes on. NULL for a session or a needed pointer is HARSHARK_ERROR_ARGUMENT,
 * never a crash. A fault inside the library is HARSHARK_ERROR_PANIC; that session can then only be freed.
 *
 * Ownership. What the caller hands in stays the caller's and is only looked at during the call: frames, bytes, texts may be
 * freed as soon as it returns. Exceptions: the function and the pointer given to harshark_set_progress are used until they
 * are replaced or the session is freed. What the library hands out stays the library's and is never freed or changed by the
 * caller: texts of harshark_version and of options live as long as the library; harshark_summary's until the next
 * harshark_summary or harshark_free of that session; harshark_last_error's until the next failed call of that thread. Only a
 * session is the caller's, who gives it back with harshark_free.
 *
 * Threads. One session is used by one thread at a time, which may be another one each time. A second call while one works on
 * the session, also from one of its callbacks, gives HARSHARK_ERROR_BUSY. Different sessions know nothing of each other and
 * may be used at once. Calls without a session may be made by any thread at any time. The library starts no thread for a
 * session, installs no signal handler and writes nothing to standard output or standard error. harshark_convert reading
 * "-" starts a thread that waits for standard input.
 *
 * Callbacks are called by the thread that made the call, before it returns. They must return: no longjmp, no exception.
 *
 * Text is UTF-8 and ends with NUL; paths are in any encoding of the system.
 *
 * Versions. harshark_abi() is HARSHARK_ABI of the header that a library was built with. It changes when something that was
 * there changes; functions, options, statuses and members of the summary may be added without.
 */
#ifndef HARSHARK_H
#define HARSHARK_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HARSHARK_ABI 1

/* What a call came to. */
enum harshark_status {
    HARSHARK_OK = 0,
    HARSHARK_CANCELLED = 1,        /* a callback said so */
    HARSHARK_ERROR_ARGUMENT = -1,  /* NULL, not UTF-8, out of range */
    HARSHARK_ERROR_ORDER = -2,     /* not at this point of the session */
    HARSHARK_ERROR_BUSY = -3,      /* another call works on the session */
    HARSHARK_ERROR_OPTION = -4,    /* unknown name, or a value that does not fit */
    HARSHARK_ERROR_CAPTURE = -5,   /* a capture cannot be read */
    HARSHARK_ERROR_OUTPUT = -6,    /* the HAR cannot be written */
    HARSHARK_ERROR_TEMPORARY = -7, /* the temporary file of a large session cannot be written or read */
    HARSHARK_ERROR_KEY_LOG = -8,   /* a key log cannot be read */
    HARSHARK_ERROR_PANIC = -9,     /* a fault of the library */
    HARSHARK_ERROR_SYSTEM = -10    /* the system gives no thread */
};

/* Number of the library's ABI; compare with HARSHARK_ABI. */
uint32_t harshark_abi(void);

/* Version of the library, such as "0.1.0". */
const char *harshark_version(void);

/* What the last failed call of this thread failed on, for people; "" when none did. Never NULL. */
const char *harshark_last_error(void);

/* ---- Options ------------------------------------------------------------------------------------------------------- */

/* Kind of an option's value. */
enum harshark_option_kind {
    HARSHARK_SWITCH = 0, /* true or false; also 1/0, yes/no, on/off */
    HARSHARK_BYTES = 1,  /* number of bytes, with k, m or g behind it for powers of 1024 */
    HARSHARK_CHOICE = 2, /* one of `choices` */
    HARSHARK_LIST = 3,   /* text; setting it again adds another */
    HARSHARK_TEXT = 4    /* text */
};

/* One option, as the command line, the preferences of the plugin and the recorder have it. */
typedef struct harshark_option {
    const char *name;          /* lower case with hyphens */
    int kind;                  /* enum harshark_option_kind */
    const char *default_value; /* the value while it is not set */
    const char *choices;       /* words with commas between them; NULL for other kinds */
    const char *help;          /* one line for people */
} harshark_option;

/* How many options there are. */
size_t harshark_option_count(void);

/* Tells about the option of this index, from 0. */
int harshark_option_at(size_t index, harshark_option *option);

/* ---- Sessions ------------------------------------------------------------------------------------------------------ */

/* One conversion. */
typedef struct harshark_session harshark_session;

/* A session; NULL when it cannot be made. `capture_name` stands in the HAR and names pages that have no document. */
harshark_session *harshark_new(const char *capture_name);

/* Frees a session and what it holds, written or not. NULL is allowed. Does nothing while a call works on it. */
void harshark_free(harshark_session *session);

/* Sets an option. Only before the first frame, secret or write. */
int harshark_set_option(harshark_session *session, const char *name, const char *value);

/* What a call is at when it asks. */
enum harshark_phase {
    HARSHARK_READING = 1, /* taking frames, or reading captures */
    HARSHARK_WRITING = 2  /* writing a HAR */
};

/*
 * Told how far a call has come, about once per 1024 frames or 256 KiB when reading, once per MiB when writing: bytes done, and
 * bytes in all or 0 when that is not known. Returning anything but 0 cancels. Cancelled while reading, what was taken stays
 * and later pushes are refused too: finish and write what came, or free the session. Cancelled while writing, no file is
 * left and what was there under its name stays.
 */
typedef int (*harshark_progress)(void *user, int phase, uint64_t done, uint64_t total);

/* Sets who is told; NULL is nobody. */
int harshark_set_progress(harshark_session *session, harshark_progress progress, void *user);

/* ---- In ------------------------------------------------------------------------------------------------------------ */

/* One captured frame. Members that are not used are 0. */
typedef struct harshark_frame {
    uint32_t size;            /* sizeof(harshark_frame) */
    uint32_t interface_id;    /* interface of the capture, from 0 */
    uint64_t number;          /* number in the capture, from 1 and growing; 0: one more than the last */
    int64_t time_ns;          /* nanoseconds since 1970-01-01T00:00:00Z */
    uint32_t link_type;       /* LINKTYPE_ value, https://www.tcpdump.org/linktypes.html */
    uint32_t original_length; /* bytes on the wire; 0: captured_length */
    uint32_t captured_length; /* bytes at data */
    int selected;             /* not 0: the user selected it; see the option only-selected */
    const void *data;         /* what was captured; NULL only when captured_length is 0 */
    const char *comment;      /* comment of the packet; NULL when it has none */
} harshark_frame;

/* Takes the next frame. Frames come in the order of the capture. */
int harshark_push_frame(harshark_session *session, const harshark_frame *frame);

/*
 * Takes the next bytes of a capture in pcap or pcapng format, as dumpcap -w - or a file gives them: in pieces of any length,
 * cut anywhere. Frames are taken as soon as their last byte is there, secrets in the capture with them. Not compressed.
 * Instead of harshark_push_frame; a session uses one of the two. HARSHARK_ERROR_CAPTURE says, once, that it is no capture.
 */
int harshark_push_capture(harshark_session *session, const void *data, size_t length);

/* Kind of secrets: the text of an NSS key log (SSLKEYLOGFILE), as pcapng numbers it. */
#define HARSHARK_SECRETS_TLS_KEY_LOG 0x544c534bu

/* Takes secrets found in the capture. They serve traffic that came before as well. Other kinds are skipped. */
int harshark_push_secrets(harshark_session *session, uint32_t kind, const void *data, size_t length);

/* Takes what was appended to the user's key log since the last call; a line may be cut anywhere. */
int harshark_push_key_log(harshark_session *session, const void *data, size_t length);

/* The capture is over: connections are closed, requests without an answer become entries. */
int harshark_finish(harshark_session *session);

/* ---- Out ----------------------------------------------------------------------------------------------------------- */

/*
 * Writes the HAR to a file: to a temporary name beside it, readable by its owner only, renamed when it is whole. A file that
 * is there is replaced; a device or FIFO is written as it is.
 */
int harshark_write_file(harshark_session *session, const char *path);

/* Takes bytes of a HAR; anything but 0 ends the writing with HARSHARK_CANCELLED. */
typedef int (*harshark_sink)(void *user, const void *data, size_t length);

/* Writes the HAR through a callback. */
int harshark_write(harshark_session *session, harshark_sink sink, void *user);

/*
 * Writes the entries that are over to a file, as harshark_write_file, and forgets them: the next file begins with what is
 * over after this. Connections, names and secrets stay known, so that nothing is lost between the files. Before
 * harshark_finish only. When it fails nothing is forgotten.
 */
int harshark_rotate_file(harshark_session *session, const char *path);

/* Frames taken and entries that are over, since the last rotation. 0 when the session cannot be asked. */
uint64_t harshark_packets(const harshark_session *session);
uint64_t harshark_entries(const harshark_session *session);

/*
 * What came of it, as a JSON object: finished, packets, entries, pages, bytes, versions, statuses, unanswered, filtered, refused,
 * truncated, agents, connections, withoutEntry (reasons and how often), undecrypted (server names and how often), dropped (what
 * the capture program says it dropped: packets in all, interface, kernel, writer, betweenPackets, each only where known), missing
 * (bytes that are not in the capture, and the connections they belong to), anomalies (name, text, count, bytes where it is about
 * bytes, frames), unsupportedLinkTypes, repeatedPackets, encryptedFrames, outOfOrder (null, or frames, left, text), damage (texts).
 * Pages and bytes are those of what was written last. NULL when the session cannot be asked.
 */
const char *harshark_summary(harshark_session *session);

/*
 * Converts capture files, read as one, to one HAR: pcap or pcapng, also compressed with gzip, zstd or lz4; "-" is standard input,
 * and standard output for `har`. `key_logs` may be NULL when key_log_count is 0. Options and progress are those of the
 * session, which must be new and is finished by it. HARSHARK_CANCELLED: what was read until then was written. A damaged
 * capture is no error: what could be read is written, and the summary names the damage.
 */
int harshark_convert(harshark_session *session, const char *const *captures, size_t capture_count,
                     const char *const *key_logs, size_t key_log_count, const char *har);

#ifdef __cplusplus
}
#endif

#endif
