/* A PKCS#11 module before another one ($BEHIND). It makes faults that the other has not: those
 * that the file $FAULTS names, as long as it does. It counts logins in the file $LOGINS.
 * Layouts and numbers are those of PKCS#11 2.40. */

#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef unsigned long ulong;
typedef ulong (*function)();

struct list { unsigned char version[2]; function at[68]; };
struct attribute { ulong type; void *value; ulong length; };
struct mechanism { ulong type; void *parameter; ulong length; };

enum {
    GET_TOKEN_INFO = 6, GET_MECHANISM_LIST = 7, GET_SESSION_INFO = 15, LOGIN = 18,
    DESTROY_OBJECT = 22, SIGN_INIT = 42, GENERATE_KEY_PAIR = 59
};

static struct list *behind, front;

static int fault(const char *name) {
    char text[256] = "";
    FILE *file = fopen(getenv("FAULTS"), "r");
    if (!file) return 0;
    text[fread(text, 1, sizeof text - 1, file)] = 0;
    fclose(file);
    return strstr(text, name) != NULL;
}

/* Nothing comes back. */
static void hang(void) {
    while (fault("hang")) usleep(20000);
}

static ulong get_token_info(ulong slot, char *info) {
    ulong flags, answer = behind->at[GET_TOKEN_INFO](slot, info);
    memcpy(&flags, info + 96, sizeof flags);
    if (fault("last-try")) flags |= 0x20000;
    if (fault("locked")) flags |= 0x40000;
    memcpy(info + 96, &flags, sizeof flags);
    return answer;
}

static ulong get_mechanism_list(ulong slot, ulong *mechanisms, ulong *count) {
    ulong answer = behind->at[GET_MECHANISM_LIST](slot, mechanisms, count);
    if (mechanisms && fault("no-eddsa"))
        for (ulong i = 0; i < *count; i++)
            if (mechanisms[i] == 0x1057) mechanisms[i] = 0;
    return answer;
}

static ulong login(ulong session, ulong user, char *pin, ulong length) {
    FILE *file = fopen(getenv("LOGINS"), "a");
    fputc('x', file);
    fclose(file);
    return behind->at[LOGIN](session, user, pin, length);
}

static ulong get_session_info(ulong session, void *info) {
    hang();
    return behind->at[GET_SESSION_INFO](session, info);
}

/* Of the first key both halves are gone when the process ends. */
static ulong destroy_object(ulong session, ulong object) {
    static int destroyed;
    if (fault("no-destroy")) return 0x30;
    if (fault("die") && destroyed++ == 2) kill(getpid(), SIGKILL);
    return behind->at[DESTROY_OBJECT](session, object);
}

/* The session is gone, this once. */
static ulong sign_init(ulong session, struct mechanism *mechanism, ulong key) {
    hang();
    if (fault("lost")) {
        remove(getenv("FAULTS"));
        return 0xb3;
    }
    return behind->at[SIGN_INIT](session, mechanism, key);
}

static ulong generate_key_pair(ulong session, struct mechanism *mechanism, struct attribute *public,
                               ulong publics, struct attribute *private, ulong privates,
                               ulong *public_key, ulong *private_key) {
    for (ulong i = 0; i < privates; i++) {
        /* Its label ends with the name. */
        const char *end = (char *)private[i].value + private[i].length;
        if (private[i].type == 0x3 && fault("no-tsa") && !memcmp(end - 3, "tsa", 3)) return 0x31;
        if (private[i].type == 0x162 && fault("extractable")) *(unsigned char *)private[i].value = 1;
    }
    return behind->at[GENERATE_KEY_PAIR](session, mechanism, public, publics, private, privates,
                                         public_key, private_key);
}

ulong C_GetFunctionList(struct list **list) {
    void *module = dlopen(getenv("BEHIND"), RTLD_NOW);
    ulong (*get)(struct list **) = (ulong (*)(struct list **))dlsym(module, "C_GetFunctionList");
    get(&behind);
    front = *behind;
    front.at[GET_TOKEN_INFO] = (function)get_token_info;
    front.at[GET_MECHANISM_LIST] = (function)get_mechanism_list;
    front.at[GET_SESSION_INFO] = (function)get_session_info;
    front.at[LOGIN] = (function)login;
    front.at[DESTROY_OBJECT] = (function)destroy_object;
    front.at[SIGN_INIT] = (function)sign_init;
    front.at[GENERATE_KEY_PAIR] = (function)generate_key_pair;
    *list = &front;
    return 0;
}
