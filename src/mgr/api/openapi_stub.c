#include <stddef.h>
extern const char openapi_json[]; extern const size_t openapi_json_len;
const char openapi_json[] = "{}\n";
const size_t openapi_json_len = 3;
