#include "media/profile.h"

#include <stdlib.h>
#include <string.h>

#include <lcms2.h>

struct profile {
    cmsContext context; /* of its own: no global error handler, no global state */
    cmsHTRANSFORM transform;
};

static uint8_t *find(struct bytes in, enum media_format format, size_t *len)
{
    switch (format) {
    case MEDIA_JPEG:
        return jpeg_profile(in, len);
    case MEDIA_PNG:
        return png_profile(in, len);
    case MEDIA_WEBP:
        return webp_profile(in, len);
    default:
        return NULL;
    }
}

static cmsHTRANSFORM make_transform(cmsContext context, const uint8_t *icc, size_t len)
{
    cmsHTRANSFORM transform = NULL;
    cmsHPROFILE from = cmsOpenProfileFromMemTHR(context, icc, (cmsUInt32Number)len);
    cmsHPROFILE to = cmsCreate_sRGBProfileTHR(context);
    if (from && to && cmsGetColorSpace(from) == cmsSigRgbData)
        transform =
            cmsCreateTransformTHR(context, from, TYPE_RGB_8, to, TYPE_RGB_8, INTENT_PERCEPTUAL, 0);
    if (from)
        cmsCloseProfile(from);
    if (to)
        cmsCloseProfile(to);
    return transform;
}

struct profile *profile_open(struct bytes in, enum media_format format)
{
    size_t len;
    uint8_t *icc = find(in, format, &len);
    struct profile *p = icc ? calloc(1, sizeof *p) : NULL;
    if (p)
        p->context = cmsCreateContext(NULL, NULL);
    if (p && p->context)
        p->transform = make_transform(p->context, icc, len);
    free(icc);
    if (p && p->transform)
        return p;
    profile_close(p);
    return NULL;
}

void profile_close(struct profile *p)
{
    if (!p)
        return;
    if (p->transform)
        cmsDeleteTransform(p->transform);
    if (p->context)
        cmsDeleteContext(p->context);
    free(p);
}

void profile_apply(const struct profile *p, uint8_t *rgb, int32_t n)
{
    cmsDoTransform(p->transform, rgb, rgb, (cmsUInt32Number)n);
}
