/* SPDX-License-Identifier: BSD-2-Clause */
/* Responses that are shown with a certificate (RFC 6960): only such as every client will take. */
#include <gnutls/ocsp.h>
#include <stdio.h>
#include <time.h>

#include "io/tls_cert.h"

enum { CLOCKS_DIFFER = 300 }; /* seconds */

static gnutls_ocsp_resp_t import(struct slice bytes)
{
	gnutls_ocsp_resp_t response;
	gnutls_datum_t data = {(unsigned char *)(uintptr_t)bytes.ptr, (unsigned)bytes.len};
	bool pem = slice_starts(bytes, SLICE("-----BEGIN"));
	if (gnutls_ocsp_resp_init(&response))
		return NULL;
	if (gnutls_ocsp_resp_import2(
		    response, &data, pem ? GNUTLS_X509_FMT_PEM : GNUTLS_X509_FMT_DER) == 0)
		return response;
	gnutls_ocsp_resp_deinit(response);
	return NULL;
}

/* Was it signed by the issuer, or by whom that one charged with it? */
static bool is_signed(gnutls_ocsp_resp_t response, gnutls_x509_crt_t issuer)
{
	gnutls_x509_trust_list_t list;
	unsigned verdict = 0;
	if (gnutls_x509_trust_list_init(&list, 1))
		return false;
	bool result = gnutls_x509_trust_list_add_cas(list, &issuer, 1, 0) == 1 &&
		      gnutls_ocsp_resp_verify(response, list, &verdict, 0) == 0 && verdict == 0;
	gnutls_x509_trust_list_deinit(list, 0);
	return result;
}

/* Why it is not shown; NULL: it is. */
static const char *status_fault(unsigned status, time_t begins, time_t ends)
{
	time_t now = time(NULL);
	if (status == GNUTLS_OCSP_CERT_REVOKED)
		return "says that the certificate is revoked: have a new one issued";
	if (status != GNUTLS_OCSP_CERT_GOOD)
		return "says that the authority does not know the certificate";
	if (ends != (time_t)-1 && ends <= now)
		return "has expired: fetch a new one";
	if (begins > now + CLOCKS_DIFFER)
		return "is of a time that is to come";
	return NULL;
}

static const char *response_fault(
	struct tls_cert *cert, gnutls_ocsp_resp_t response, gnutls_x509_crt_t issuer)
{
	unsigned status = GNUTLS_OCSP_CERT_UNKNOWN;
	time_t begins = (time_t)-1, ends = (time_t)-1;
	if (gnutls_ocsp_resp_get_status(response) != GNUTLS_OCSP_RESP_SUCCESSFUL)
		return "is an error of the responder, not a response";
	if (gnutls_ocsp_resp_check_crt(response, 0, cert->leaf))
		return "is about another certificate";
	if (gnutls_ocsp_resp_get_single(
		    response, 0, NULL, NULL, NULL, NULL, &status, &begins, &ends, NULL, NULL))
		return "cannot be read";
	if (issuer && !is_signed(response, issuer))
		return "is not signed by the authority of the certificate";
	cert->ocsp_ends = ends == (time_t)-1 ? 0 : ends;
	return status_fault(status, begins, ends);
}

void tls_ocsp_take(struct tls_cert *cert, struct slice bytes, gnutls_x509_crt_t issuer,
	struct tls_telling *telling)
{
	const char *path = cert->pair->ocsp_path.ptr;
	gnutls_ocsp_resp_t response = import(bytes);
	gnutls_datum_t der;
	if (!response) {
		tls_tell(telling, "ocsp", false, "%s is no OCSP response: DER belongs there", path);
		return;
	}
	const char *fault = response_fault(cert, response, issuer);
	if (!fault && gnutls_ocsp_resp_export(response, &der) == 0) {
		cert->ocsp =
			arena_slice(&cert->arena, (struct slice){(const char *)der.data, der.size});
		gnutls_free(der.data);
	}
	gnutls_ocsp_resp_deinit(response);
	if (fault)
		tls_tell(telling, "ocsp", true, "the OCSP response %s %s; it is not shown", path,
			fault);
}
